"""Metrics of classes: accuracy, VQA's soft accuracy, mean average precision.

Shapes: R samples, C classes.
"""

import math
from collections.abc import Mapping

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from one_peace.metrics.meter import TableMeter


class AccuracyMeter(TableMeter):
    """``accuracy``: the share of samples whose ``predicted`` class int64[R] is their ``label`` int64[R]."""

    columns = ("predicted", "label")

    def names(self) -> list[str]:
        return ["accuracy"]

    def score(self, gathered: Mapping[str, Tensor]) -> dict[str, float]:
        right_R = gathered["predicted"] == gathered["label"]
        return {"accuracy": 100.0 * right_R.double().mean().item()}


class SoftAccuracyMeter(TableMeter):
    """``vqa_score``: what the ``predicted`` answers are worth, on average.

    ``worth`` float64[R] is the annotators' score of the predicted answer, min(1, agreeing annotators / 3) in VQAv2;
    ``best`` float64[R] that of the best one. Where no answer is worth anything, all are secret: NaN.
    """

    columns = ("predicted", "worth", "best")

    def names(self) -> list[str]:
        return ["vqa_score"]

    def score(self, gathered: Mapping[str, Tensor]) -> dict[str, float]:
        known = bool(gathered["best"].any())
        return {"vqa_score": 100.0 * gathered["worth"].double().mean().item() if known else math.nan}


class MeanAveragePrecisionMeter(TableMeter):
    """``map``: average precision a class of ``scores`` float[R, C], where ``labels`` float[R, C] > 0 are right.

    Averaged over the classes that any sample has.
    """

    columns = ("scores", "labels")

    def names(self) -> list[str]:
        return ["map"]

    def score(self, gathered: Mapping[str, Tensor]) -> dict[str, float]:
        return {"map": 100.0 * mean_average_precision(gathered["scores"], gathered["labels"] > 0)}


def mean_average_precision(score_RC: Tensor, right_RC: Tensor) -> float:
    """The mean over classes of average precision; a class that no sample has is left out, a NaN is ranked last."""
    seen_C = right_RC.any(dim=0)
    if not seen_C.any():
        return 0.0
    lowest = torch.finfo(torch.float64).min
    score_RC = score_RC.double().nan_to_num(nan=lowest)[:, seen_C]
    return float(average_precision_score(right_RC[:, seen_C].numpy(), score_RC.numpy(), average="macro"))
