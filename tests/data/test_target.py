"""Cells -> targets."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.errors import SampleError
from one_peace.data.target import ClassTarget, MultiLabelTarget, finite_number

ROOT = Path()
NAMES = ["cat", "dog", "crane", "crane", "7"]


@pytest.mark.parametrize(("cell", "number"), [("0", 0), (" 4 ", 4), ("dog", 1), ("2", 2), (" cat", 0), ("03", 3)])
def test_a_class_is_its_number_or_its_name(cell, number):
    label = ClassTarget("label", 5, NAMES).read([cell], ROOT)["labels"]
    assert label.item() == number and label.dtype == torch.int64


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("5", "class 5 is out of range: there are 5 classes"),
        ("7", "class 7 is out of range"),  # a number is a number
        ("crane", "several classes are called 'crane'"),
        ("bird", "unknown class 'bird'"),
        ("", "unknown class ''"),
        ("-1", "unknown class '-1'"),
        ("1.0", "unknown class"),
        ("²", "unknown class"),
        ("1" * 5000, "unknown class '1{80}':"),
    ],
)
def test_other_cells_name_no_class(cell, words):
    with pytest.raises(SampleError, match=words):
        ClassTarget("label", 5, NAMES).read([cell], ROOT)


@given(st.sets(st.integers(0, 9), min_size=1))
def test_several_classes(classes):
    scores = MultiLabelTarget("text", 10).read([", ".join(map(str, classes))], ROOT)["scores"]
    assert set(scores.nonzero().view(-1).tolist()) == classes and scores.sum() == len(classes)


def test_several_classes_by_name():
    target = MultiLabelTarget("text", 3, ("dog", "cat", "owl"))
    assert target.read(["owl, 0"], ROOT)["scores"].tolist() == [1, 0, 1]
    with pytest.raises(SampleError, match="unknown class 'cow'"):
        target.read(["owl,cow"], ROOT)


@pytest.mark.parametrize("cell", ["", "1,", "1;2", "10", "a"])
def test_lists_that_are_none(cell):
    with pytest.raises(SampleError, match="class"):
        MultiLabelTarget("text", 10).read([cell], ROOT)


def test_targets_are_stacked():
    target = MultiLabelTarget("text", 3)
    batch = target.collate([target.read([cell], ROOT) for cell in ("0,2", "1")])
    assert batch["scores"].tolist() == [[1, 0, 1], [0, 1, 0]] and batch["scores"].dtype == torch.float64


@pytest.mark.parametrize(("text", "number"), [("1.5", 1.5), (" 2 ", 2), ("nan", None), ("-inf", None), ("x", None)])
def test_numbers_are_finite(text, number):
    assert finite_number(text) == number
