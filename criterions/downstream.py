"""fairseq criterions of the downstream tasks, under the released names."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairseq.criterions import register_criterion
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from .base import Loss
from .boxes import box_loss, predicted_boxes
from .classification import classification_loss, hinge_loss


def predict(model, sample: Mapping) -> dict[str, Tensor]:
    """The model's output for a batch."""
    return model(**{key: sample["net_input"][key] for key in ("inputs", "others") if key in sample["net_input"]})


@dataclass
class ClassifyCriterionConfig(FairseqDataclass):
    """Options of ``classify_criterion``."""

    label_smoothing: float = field(default=0.0, metadata={"help": "label smoothing of the cross entropy"})
    use_multi_label: bool = field(default=False, metadata={"help": "several classes a sample: binary cross entropy"})


@register_criterion("classify_criterion", dataclass=ClassifyCriterionConfig)
class ClassifyCriterion(Loss):
    """Targets ``labels`` int64[B], one class a sample, or ``scores`` float[B, C] (`classification_loss`)."""

    def __init__(self, task, label_smoothing: float = 0.0, use_multi_label: bool = False):
        super().__init__(task)
        if not use_multi_label and getattr(task, "multi_label", False):
            raise ValueError("a sample of this task has several classes: add --use-multi-label (use_multi_label: true)")
        self.label_smoothing = label_smoothing
        self.use_multi_label = use_multi_label

    def compute(self, model, sample: dict) -> tuple[Tensor, dict, dict[str, Tensor]]:
        """The loss is a sum over samples."""
        out, target = predict(model, sample), sample["target"]
        target = target["scores"] if "scores" in target else target["labels"]
        loss, correct = classification_loss(
            out["logits"], target, multi_label=self.use_multi_label, label_smoothing=self.label_smoothing
        )
        return loss, self.log(sample, loss, {"n_correct": correct}, len(target)), out


@dataclass
class HingeLossConfig(FairseqDataclass):
    """Options of ``hinge_loss``."""

    margin: float = field(default=1.0, metadata={"help": "by how much the right choice should win"})
    num_choices: int = field(default=4, metadata={"help": "choices a sample, in consecutive rows"})
    release_hinge: bool = field(
        default=False, metadata={"help": "the original release's arithmetic: margin 1, the right choice counted too"}
    )


@register_criterion("hinge_loss", dataclass=HingeLossConfig)
class HingeLoss(Loss):
    """Targets ``labels`` int64[B], the right one of ``num_choices`` consecutive rows of one logit each."""

    def __init__(self, task, margin: float = 1.0, num_choices: int = 4, release_hinge: bool = False):
        super().__init__(task)
        self.margin = margin
        self.num_choices = num_choices
        self.release_hinge = release_hinge

    def compute(self, model, sample: dict) -> tuple[Tensor, dict, dict[str, Tensor]]:
        """The loss is a sum over samples."""
        out, target_B = predict(model, sample), sample["target"]["labels"]
        logits_BC = out["logits"].view(len(target_B), self.num_choices)
        loss, correct = hinge_loss(logits_BC, target_B, margin=self.margin, release=self.release_hinge)
        return loss, self.log(sample, loss, {"n_correct": correct}, len(target_B)), out


@register_criterion("refcoco_criterion", dataclass=FairseqDataclass)
class RefcocoCriterion(Loss):
    """Targets ``boxes`` float[B, 4] as shares of the picture's sides; the sigmoid of the logits is compared to them."""

    def compute(self, model, sample: dict) -> tuple[Tensor, dict, dict[str, Tensor]]:
        """The loss is a mean."""
        out = predict(model, sample)
        l1, giou = box_loss(predicted_boxes(out["logits"]), sample["target"]["boxes"])
        loss = l1 + giou
        return loss, self.log(sample, loss, {"l1_loss": l1.detach(), "giou_loss": giou.detach()}), out
