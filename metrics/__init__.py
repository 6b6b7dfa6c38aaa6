"""Numbers that tell how good a model is: accumulated on each rank, merged, reported."""

from one_peace.metrics.recall import RetrievalMeter, chance_recall, recall_report, retrieval_recall

__all__ = ["RetrievalMeter", "chance_recall", "recall_report", "retrieval_recall"]
