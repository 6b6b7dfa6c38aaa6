"""Metrics of classes and boxes, and the counts that criterions log, against recorded numbers."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch

from one_peace.criterions import classification_loss
from one_peace.metrics import AccuracyMeter, BoxMeter, MeanAveragePrecisionMeter, SoftAccuracyMeter

from .parity_tools import Case, load

PERCENT = 1e-4  # scores were summed in single precision


def cases(folder: Path) -> Iterator[Case]:
    """What ``folder/processing/metrics.json`` records besides recall."""
    folder = folder / "processing"
    if not (folder / "metrics.pt").is_file():
        return
    raw, recorded = load(folder / "metrics.pt"), json.loads((folder / "metrics.json").read_text())
    best_R = raw["acc_logits"].argmax(dim=1)
    worth_R = raw["acc_soft_targets"].gather(1, best_R[:, None])[:, 0]
    best_worth_R = raw["acc_soft_targets"].amax(dim=1)
    ours = {
        "accuracy_hard": (AccuracyMeter, {"predicted": best_R, "label": raw["acc_targets"]}),
        "accuracy_soft": (SoftAccuracyMeter, {"predicted": best_R, "worth": worth_R, "best": best_worth_R}),
        "iou_acc": (BoxMeter, {"predicted": raw["iou_hyps"], "box": raw["iou_refs"]}),
        "map": (MeanAveragePrecisionMeter, {"scores": raw["map_logits"], "labels": raw["map_targets"]}),
    }
    for name, (meter, columns) in ours.items():
        meter = meter()
        meter.add(torch.arange(len(next(iter(columns.values())))), **columns)
        (percent,) = meter.compute().values()
        expected = 100 * recorded[name][name.removesuffix("_hard").removesuffix("_soft")]
        yield f"processing: metrics {name}", abs(percent - expected), PERCENT
    for name, target in (("accuracy_hard", raw["acc_targets"]), ("accuracy_soft", raw["acc_soft_targets"])):
        _, correct = classification_loss(raw["acc_logits"], target)
        yield f"processing: n_correct {name}", abs(float(correct) - recorded[name]["score_sum"]), 1e-5
