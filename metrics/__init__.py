"""Numbers that tell how good a model is: accumulated on each rank, merged, reported."""

from one_peace.metrics.boxes import BoxMeter
from one_peace.metrics.classification import AccuracyMeter, MeanAveragePrecisionMeter, SoftAccuracyMeter
from one_peace.metrics.meter import Meter
from one_peace.metrics.recall import chance_recall, recall_report, retrieval_recall
from one_peace.metrics.retrieval import RetrievalMeter

__all__ = [
    "AccuracyMeter",
    "BoxMeter",
    "MeanAveragePrecisionMeter",
    "Meter",
    "RetrievalMeter",
    "SoftAccuracyMeter",
    "chance_recall",
    "recall_report",
    "retrieval_recall",
]
