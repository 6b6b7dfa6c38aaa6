"""The thin criterions: what they ask of the model and the batch, and what they log."""

from types import SimpleNamespace

import pytest
import torch
from fairseq import metrics
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from omegaconf import OmegaConf

from one_peace.criterions import box_loss, classification_loss, hinge_loss, predicted_boxes

LOGITS = torch.tensor([[2.0, 0.5, 0.1, 1.0], [0.0, 1.0, 3.0, 2.0]])


def criterion(name: str, **options):
    cfg = OmegaConf.merge(OmegaConf.structured(CRITERION_DATACLASS_REGISTRY[name]()), options)
    return CRITERION_REGISTRY[name].build_criterion(cfg, SimpleNamespace())


class Model:
    """Remembers what it was called with."""

    def __init__(self, logits: torch.Tensor):
        self.logits = logits

    def __call__(self, **arguments) -> dict[str, torch.Tensor]:
        self.arguments = arguments
        return {"logits": self.logits}


def sample(**target: torch.Tensor) -> dict:
    return {"nsentences": 2, "ntokens": 9, "target": target, "net_input": {"inputs": {"text": {}}, "masks": {}}}


def test_classify_criterion_with_labels() -> None:
    labels = torch.tensor([0, 1])
    loss, log, out = criterion("classify_criterion", label_smoothing=0.1).compute(Model(LOGITS), sample(labels=labels))
    torch.testing.assert_close(loss, classification_loss(LOGITS, labels, label_smoothing=0.1)[0])
    assert log == {"loss": loss, "sample_size": 2, "nsentences": 2, "ntokens": 9, "n_correct": torch.tensor(1)}
    assert out["logits"] is LOGITS


def test_classify_criterion_with_scores() -> None:
    scores = torch.tensor([[0.3, 0.0, 0.0, 1.0], [0.0, 0.0, 0.6, 0.0]])
    loss, log, _ = criterion("classify_criterion", use_multi_label=True).compute(Model(LOGITS), sample(scores=scores))
    torch.testing.assert_close(loss, classification_loss(LOGITS, scores, multi_label=True)[0])
    assert log["n_correct"].item() == pytest.approx(0.9)


def test_a_task_of_several_classes_a_sample_needs_the_option() -> None:
    classify, config = CRITERION_REGISTRY["classify_criterion"], CRITERION_DATACLASS_REGISTRY["classify_criterion"]
    with pytest.raises(ValueError, match="add --use-multi-label"):
        classify.build_criterion(config(), SimpleNamespace(multi_label=True))


def test_hinge_loss_over_consecutive_rows() -> None:
    labels, model = torch.tensor([0, 1]), Model(LOGITS.view(8, 1))
    loss, log, _ = criterion("hinge_loss", margin=0.5).compute(model, sample(labels=labels))
    torch.testing.assert_close(loss, hinge_loss(LOGITS, labels, margin=0.5)[0])
    assert log["sample_size"] == 2 and log["n_correct"] == 1
    released, *_ = criterion("hinge_loss", margin=0.5, release_hinge=True).compute(model, sample(labels=labels))
    torch.testing.assert_close(released, hinge_loss(LOGITS, labels, margin=1.0)[0] + 2)


def test_refcoco_criterion() -> None:
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.9], [0.0, 0.0, 1.0, 1.0]])
    loss, log, _ = criterion("refcoco_criterion").compute(Model(LOGITS), sample(boxes=boxes))
    l1, giou = box_loss(predicted_boxes(LOGITS), boxes)
    torch.testing.assert_close(loss, l1 + giou)
    assert log["sample_size"] == 1 and log["l1_loss"] == l1 and log["giou_loss"] == giou


def test_the_model_gets_the_inputs_and_further_passes_only() -> None:
    model, batch = Model(LOGITS), sample(labels=torch.tensor([0, 1]))
    loss = criterion("classify_criterion")
    loss(model, batch)
    assert model.arguments == {"inputs": {"text": {}}}
    batch["net_input"]["others"] = [{"image": {}}]
    value, sample_size, log = loss(model, batch)
    assert model.arguments == {"inputs": {"text": {}}, "others": [{"image": {}}]}
    assert sample_size == 2 and log["loss"] == value


def test_reduced_over_ranks() -> None:
    """Sums over samples become means over samples; counts become percent."""
    first = criterion("classify_criterion").compute(Model(LOGITS), sample(labels=torch.tensor([0, 1])))[1]
    second = criterion("classify_criterion").compute(Model(LOGITS[:1]), sample(labels=torch.tensor([0])))[1]
    second["nsentences"] = 1
    with metrics.aggregate() as total:
        CRITERION_REGISTRY["classify_criterion"].reduce_metrics([first, second])
    values = total.get_smoothed_values()
    assert values["loss"] == pytest.approx(float(first["loss"] + second["loss"]) / 3, abs=1e-3)
    assert values["batch_accuracy"] == pytest.approx(66.67, abs=0.01)
