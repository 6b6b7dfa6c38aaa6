"""fairseq criterions around the two objectives, under generic and released names."""

from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import FairseqDataclass
from torch import Tensor

from one_peace.models.config import parse_group
from one_peace.models.flags import add_group_flags
from one_peace.models.pretrain import Names

from .aligning import aligning_contrast, join_as_nobody
from .base import Loss
from .denoising import denoising_contrast


@dataclass(frozen=True)
class Denoising:
    """One masked pass: what the student reads, what teaches it, and the weight of each modality's loss."""

    masked: Names
    teacher: Names
    weights: dict[str, float]


def logged_as(anchor: str, other: str) -> tuple[str, str]:
    """What logged values call two modalities: by their initials, as in the release, unless they share one."""
    return (anchor[0], other[0]) if anchor[0] != other[0] else (anchor, other)


class AligningLoss(Loss):
    """Aligning contrast over the task's two modalities; embeddings are kept for metrics over a whole data set."""

    def __init__(self, task, label_smoothing: float = 0.0, gather_with_grad: bool = False):
        super().__init__(task)
        self.anchor, self.other = task.modalities
        self.logged_as = logged_as(self.anchor, self.other)
        self.label_smoothing = label_smoothing
        self.gather_with_grad = gather_with_grad

    @classmethod
    def build_criterion(cls, cfg, task) -> "AligningLoss":
        return cls(task, cfg.label_smoothing, cfg.gather_with_grad)

    def compute(self, model, sample: dict) -> tuple[Tensor, dict, dict[str, Tensor]]:
        """Loss, values to log, and the batch's embeddings per modality."""
        out = model(sample["net_input"]["inputs"])
        loss, log = self.align(out, sample)
        return loss, self.log(sample, loss, log), out["embeddings"]

    def align(self, out: dict, sample: dict) -> tuple[Tensor, dict]:
        """The aligning contrast of the model's output, and its counts under the release's names (i2t_ncorrect, ...)."""
        a, b = self.logged_as
        pair = out["embeddings"][self.anchor], out["embeddings"][self.other]
        if sample.get("stand_in"):
            loss = join_as_nobody(*pair, gather_with_grad=self.gather_with_grad) + out["logit_scale"] * 0
            a_correct = b_correct = torch.zeros_like(sample["id"][0])
        else:
            loss, a_correct, b_correct = aligning_contrast(
                *pair,
                out["logit_scale"],
                label_smoothing=self.label_smoothing,
                gather_with_grad=self.gather_with_grad,
            )
        return loss, {
            f"{a}2{b}_ncorrect": a_correct,
            f"{b}2{a}_ncorrect": b_correct,
            "logit_scale_exp": out["logit_scale"].detach(),
        }


class PretrainLossBase(AligningLoss):
    """Aligning contrast plus denoising contrast over every masked pass. Subclasses say which passes."""

    joint = "joint"
    anchor_grad = True

    def __init__(self, task, denoising: list[Denoising], logit_scale: float, smoothing: float, gather_with_grad: bool):
        super().__init__(task, 0.0, gather_with_grad)
        self.denoising = [d for d in denoising if any(d.weights.values())]
        self.dcl_logit_scale = logit_scale
        self.dcl_smoothing = smoothing

    @classmethod
    def build_criterion(cls, cfg, task) -> "PretrainLossBase":
        passes = cls.passes(cfg, *task.modalities)
        return cls(task, passes, cfg.dcl_logit_scale, cfg.label_smoothing, cfg.gather_with_grad)

    @classmethod
    def add_args(cls, parser) -> None:
        add_group_flags(parser, cls, delete_default=False)

    @classmethod
    def passes(cls, cfg, anchor: str, other: str) -> list[Denoising]:
        """The masked passes for the task's two modalities."""
        raise NotImplementedError

    def compute(self, model, sample: dict) -> tuple[Tensor, dict, dict[str, Tensor]]:
        """Batches without masks (validation) are aligned only."""
        net_input = sample["net_input"]
        masks = net_input.get("masks") or {}
        denoising = self.denoising if masks else []
        teachers = {d.masked: d.teacher for d in denoising}
        out = model(net_input["inputs"], masks, teachers, self.anchor_grad)
        loss, log = self.align(out, sample)
        anchor, other = self.logged_as
        log[f"{other}{anchor}c_loss"] = loss.detach()
        for d in denoising:
            for name, weight in d.weights.items():
                term = denoising_contrast(
                    out["students"][d.masked][name],
                    out["teachers"][d.masked][name],
                    targets(masks["+".join(d.masked)][name]["mask_indices"], out["paddings"][name]),
                    logit_scale=self.dcl_logit_scale,
                    label_smoothing=self.dcl_smoothing,
                )
                loss = loss + weight * term
                log["_".join(["dcl", *([self.joint] if len(d.masked) > 1 else []), name, "loss"])] = term.detach()
        return loss, self.log(sample, loss, log), out["embeddings"]


def targets(mask_BL: Tensor, padding_BL: Tensor | None) -> Tensor:
    """LongTensor[M]: the number of each masked unit among all units of the batch (CLS and padding are none)."""
    unit_BL = torch.ones_like(mask_BL) if padding_BL is None else ~padding_BL
    unit_BL = torch.cat([unit_BL.new_zeros(len(unit_BL), 1), unit_BL[:, 1:]], dim=1)
    number_BL = unit_BL.flatten().cumsum(0).view_as(unit_BL) - 1
    return number_BL[mask_BL]


@dataclass
class PretrainLossConfig(FairseqDataclass):
    """Options all pretraining criterions share."""

    dcl_logit_scale: float = field(default=2.5, metadata={"help": "fixed scale of the denoising logits"})
    label_smoothing: float = field(default=0.1, metadata={"help": "label smoothing of the denoising losses"})
    gather_with_grad: bool = field(
        default=False, metadata={"help": "aligning contrast: gradient into the keys, those of other ranks included"}
    )


@dataclass
class AnyPretrainLossConfig(PretrainLossConfig):
    """Options of ``pretrain_loss``, for any two modalities."""

    dcl_alphas: Any = field(
        default=None,
        metadata={
            "help": 'weight of each denoising loss, e.g. "{text: 0.5, audio: 1.0, joint: {text: 0.5}}"; default 1'
        },
    )
    freeze_anchor: bool = field(default=False, metadata={"help": "no gradient into the first modality's own pass"})


@register_criterion("pretrain_loss", dataclass=AnyPretrainLossConfig)
class PretrainLoss(PretrainLossBase):
    """Any two modalities: each alone is taught by its own features, the pair by the joint features."""

    @classmethod
    def build_criterion(cls, cfg, task) -> "PretrainLoss":
        criterion = super().build_criterion(cfg, task)
        criterion.anchor_grad = not cfg.freeze_anchor
        return criterion

    @classmethod
    def passes(cls, cfg, anchor: str, other: str) -> list[Denoising]:
        alphas = parse_group(cfg.dcl_alphas, "dcl_alphas")
        joint = parse_group(alphas.pop("joint", None), "dcl_alphas.joint")
        pair = (anchor, other)
        unknown = (alphas.keys() | joint.keys()) - set(pair)
        if unknown:
            raise ValueError(f"dcl_alphas: {', '.join(sorted(unknown))} is none of {anchor}, {other}, joint")
        alone = [Denoising((name,), (name,), {name: float(alphas.get(name, 1.0))}) for name in pair]
        return [*alone, Denoising(pair, pair, {name: float(joint.get(name, 1.0)) for name in pair})]


@dataclass
class ImageTextPretrainLossConfig(PretrainLossConfig):
    """Stage 1 (paper, section 3.3): weights of the denoising losses."""

    dcl_text_alpha: float = field(default=0.5, metadata={"help": "weight of text alone"})
    dcl_image_alpha: float = field(default=1.0, metadata={"help": "weight of image alone"})
    dcl_vl_text_alpha: float = field(default=0.5, metadata={"help": "weight of text in the pair"})
    dcl_vl_image_alpha: float = field(default=0.5, metadata={"help": "weight of image in the pair"})


@register_criterion("image_text_pretrain_loss", dataclass=ImageTextPretrainLossConfig)
class ImageTextPretrainLoss(PretrainLossBase):
    """Stage 1: aligning + text + image + pair."""

    joint = "vl"

    @classmethod
    def passes(cls, cfg, anchor: str, other: str) -> list[Denoising]:
        pair = (anchor, other)
        return [
            Denoising((anchor,), (anchor,), {anchor: cfg.dcl_text_alpha}),
            Denoising((other,), (other,), {other: cfg.dcl_image_alpha}),
            Denoising(pair, pair, {anchor: cfg.dcl_vl_text_alpha, other: cfg.dcl_vl_image_alpha}),
        ]


@dataclass
class AudioTextPretrainLossConfig(PretrainLossConfig):
    """Stage 2 (paper, section 3.3): weights of the denoising losses."""

    dcl_audio_alpha: float = field(default=1.0, metadata={"help": "weight of audio alone"})
    dcl_al_text_alpha: float = field(default=0.5, metadata={"help": "weight of text in the pair"})
    dcl_al_audio_alpha: float = field(default=0.5, metadata={"help": "weight of audio in the pair"})


@register_criterion("audio_text_pretrain_loss", dataclass=AudioTextPretrainLossConfig)
class AudioTextPretrainLoss(PretrainLossBase):
    """Stage 2: aligning + audio (taught by the joint features) + pair; text's own pass is not trained."""

    joint = "al"
    anchor_grad = False

    @classmethod
    def passes(cls, cfg, anchor: str, other: str) -> list[Denoising]:
        pair = (anchor, other)
        return [
            Denoising((other,), pair, {other: cfg.dcl_audio_alpha}),
            Denoising(pair, pair, {anchor: cfg.dcl_al_text_alpha, other: cfg.dcl_al_audio_alpha}),
        ]


@dataclass
class AligningLossConfig(FairseqDataclass):
    """Options of the retrieval criterions."""

    label_smoothing: float = field(default=0.0, metadata={"help": "label smoothing of the aligning contrast"})
    gather_with_grad: bool = field(
        default=False, metadata={"help": "gradient into the keys, those of other ranks included"}
    )


@register_criterion("image_text_retrieval_criterion", dataclass=AligningLossConfig)
class ImageTextRetrievalCriterion(AligningLoss):
    """Fine-tuning on image-text retrieval: aligning contrast only."""


@register_criterion("audio_text_retrieval_criterion", dataclass=AligningLossConfig)
class AudioTextRetrievalCriterion(AligningLoss):
    """Fine-tuning on audio-text retrieval: aligning contrast only."""
