"""Accuracy, soft accuracy and average precision, by hand and against a slow reference."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.metrics import AccuracyMeter, MeanAveragePrecisionMeter, SoftAccuracyMeter
from one_peace.metrics.classification import mean_average_precision


def test_accuracy_counts_a_sample_once():
    meter = AccuracyMeter()
    meter.add(torch.tensor([3, 1]), predicted=torch.tensor([0, 1]), label=torch.tensor([0, 2]))
    meter.add(torch.tensor([3, 7]), predicted=torch.tensor([0, 5]), label=torch.tensor([0, 5]))
    assert len(meter) == 4 and meter.names() == ["accuracy"]
    assert meter.compute() == {"accuracy": pytest.approx(200 / 3)}
    table = meter.gather()
    assert {name: column.tolist() for name, column in table.items()} == {
        "id": [1, 3, 7],
        "predicted": [1, 0, 5],
        "label": [2, 0, 5],
    }
    meter.reset()
    with pytest.raises(ValueError, match="no sample was added"):
        meter.compute()


def test_columns_that_do_not_fit():
    with pytest.raises(ValueError, match="2 keys of a batch, columns of 2, 3 rows"):
        AccuracyMeter().add(torch.arange(2), predicted=torch.arange(2), label=torch.arange(3))
    with pytest.raises(TypeError, match="no column worth"):
        AccuracyMeter().add(torch.arange(1), predicted=torch.arange(1), label=torch.arange(1), worth=torch.arange(1))


def test_vqa_counts_what_annotators_said():
    """Of ten annotators 1, 2, 3 or more agree: 0.3, 0.6, 1 in the release's refs; nobody: 0."""
    meter = SoftAccuracyMeter()
    worth = torch.tensor([0.3, 0.6, 1.0, 0.0, 1.0], dtype=torch.float64)
    meter.add(torch.arange(5), predicted=torch.tensor([4, 4, 1, 2, 0]), worth=worth, best=worth)
    assert meter.compute() == {"vqa_score": pytest.approx(58.0, abs=1e-12)}


def test_vqa_score_of_secret_answers_is_none():
    meter, nothing = SoftAccuracyMeter(), torch.zeros(3, dtype=torch.float64)
    meter.add(torch.arange(3), predicted=torch.arange(3), worth=nothing, best=nothing)
    assert math.isnan(meter.compute()["vqa_score"])
    meter.add(torch.arange(3, 4), predicted=torch.arange(1), worth=nothing[:1], best=nothing[:1] + 0.3)
    assert meter.compute() == {"vqa_score": 0.0}


def slow_average_precision(scores: list[float], right: list[bool]) -> float:
    """Precision at every right sample, samples of one score at once."""
    total, precision = sum(right), 0.0
    for score in sorted(set(scores), reverse=True):
        above = [r for s, r in zip(scores, right, strict=True) if s >= score]
        at = sum(r for s, r in zip(scores, right, strict=True) if s == score)
        precision += at / total * sum(above) / len(above)
    return precision


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 10**6))
def test_average_precision_against_a_slow_reference(samples, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 5, (samples, classes), generator=generator).double()  # with ties
    right = torch.rand(samples, classes, generator=generator) < 0.3
    seen = [c for c in range(classes) if right[:, c].any()]
    expected = [slow_average_precision(scores[:, c].tolist(), right[:, c].tolist()) for c in seen]
    assert mean_average_precision(scores, right) == pytest.approx(sum(expected) / max(len(expected), 1))


def test_absent_classes_are_left_out():
    """Class 0: right at ranks 1 and 3 of 4, (1 + 2/3) / 2; class 1: at rank 2, 1/2; class 2: absent."""
    scores = torch.tensor([[4.0, 1, 9], [3.0, 4, 9], [2.0, 3, 9], [1.0, 2, 9]])
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]])
    meter = MeanAveragePrecisionMeter()
    meter.add(torch.arange(4), scores=scores, labels=labels)
    assert meter.compute() == {"map": pytest.approx(100 * (5 / 6 + 1 / 2) / 2)}
    meter.reset()
    meter.add(torch.arange(4), scores=scores, labels=torch.zeros(4, 3))
    assert meter.compute() == {"map": 0.0}


def test_a_model_that_gives_nan_is_measured():
    scores = torch.tensor([[torch.nan, 1.0], [2.0, torch.inf], [1.0, -torch.inf]])
    right = torch.tensor([[1, 0], [0, 1], [0, 0]]).bool()
    assert mean_average_precision(scores, right) == pytest.approx((1 / 3 + 1) / 2)
