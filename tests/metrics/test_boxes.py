"""Boxes and how much of them is shared."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.metrics import BoxMeter
from one_peace.metrics.boxes import paired_iou


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 1), (0, 0, 1, 1), 0.5),  # exactly
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7),
        ((0, 0, 1, 1), (1, 0, 2, 1), 0),  # they touch
        ((0, 0, 1, 1), (5, 5, 6, 6), 0),
        ((2, 2, 0, 0), (0, 0, 2, 2), 0),  # inverted both ways: its area would be positive
        ((1, 0, 1, 2), (0, 0, 2, 2), 0),  # no width
        ((torch.nan, 0, 1, 1), (0, 0, 1, 1), 0),
    ],
)
def test_intersection_over_union(a, b, iou):
    assert paired_iou(torch.tensor([a]).double(), torch.tensor([b]).double()).item() == pytest.approx(iou)


def test_half_is_found():
    meter = BoxMeter()
    box = torch.tensor([[0.0, 0, 1, 1]]).double().repeat(4, 1)
    found = torch.tensor([[0, 0, 2, 1.0], [0, 0, 2.001, 1], [0, 0, 1, 1], [1, 1, 0, 0]]).double()
    meter.add(torch.arange(4), predicted=found, box=box)
    meter.add(torch.tensor([2]), predicted=found[3:], box=box[3:])  # a stand-in for one that is there
    assert meter.compute() == {"acc_iou50": 50.0} and meter.names() == ["acc_iou50"]


corner = st.integers(0, 6)
boxes = st.tuples(corner, corner, corner, corner)


@given(st.lists(st.tuples(boxes, boxes), min_size=1, max_size=5))
def test_against_counted_pixels(pairs):
    def pixels(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    expected = [len(pixels(a) & pixels(b)) / max(1, len(pixels(a) | pixels(b))) for a, b in pairs]
    a, b = (torch.tensor(side, dtype=torch.float64) for side in zip(*pairs, strict=True))
    # what is no box on one side shares nothing
    expected = [x if pixels(p) and pixels(q) else 0 for x, (p, q) in zip(expected, pairs, strict=True)]
    assert paired_iou(a, b).tolist() == pytest.approx(expected)


def test_many_boxes_do_not_need_memory_for_all_pairs():
    a = torch.tensor([0.0, 0, 1, 1]).repeat(60_000, 1)  # all with all would be 29 GB
    assert paired_iou(a, a).sum() == 60_000
