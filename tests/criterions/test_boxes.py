"""The box objective against torchvision; invalid boxes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import generalized_box_iou

from one_peace.criterions import box_loss, predicted_boxes

TARGET = torch.tensor([[0.1, 0.2, 0.5, 0.9], [0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.6, 0.7]], dtype=torch.float64)


@given(seed=st.integers(0, 9999))
def test_valid_boxes_alone_count_for_the_overlap_and_all_for_the_distance(seed: int) -> None:
    boxes = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    l1, giou = box_loss(boxes, TARGET)
    assert l1.item() == pytest.approx((boxes - TARGET).abs().sum().item() / 3)
    valid = [i for i, (x0, y0, x1, y1) in enumerate(boxes.tolist()) if x0 < x1 and y0 < y1]
    expected = [1 - generalized_box_iou(boxes[i : i + 1], TARGET[i : i + 1]).item() for i in valid]
    assert giou.item() == pytest.approx(sum(expected) / max(len(valid), 1), abs=1e-5)
    (l1 + giou).backward()
    assert boxes.grad.isfinite().all()


def test_the_same_box_costs_nothing() -> None:
    l1, giou = box_loss(TARGET, TARGET)
    assert l1 == 0 and giou.item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    "box",
    [[0.5, 0.1, 0.2, 0.9], [0.1, 0.9, 0.5, 0.2], [0.3, 0.3, 0.3, 0.3], [0.0, 0.0, 0.0, 1.0]],
    ids=["x turned", "y turned", "a point", "a line"],
)
def test_no_valid_box_gives_a_finite_loss_and_gradient(box: list[float]) -> None:
    boxes = torch.tensor([box], dtype=torch.float64, requires_grad=True)
    l1, giou = box_loss(boxes, TARGET[:1])
    assert giou == 0 and l1 > 0
    (l1 + giou).backward()
    assert boxes.grad.isfinite().all() and boxes.grad.any()


def test_an_invalid_target_gives_a_finite_loss_and_gradient() -> None:
    boxes = TARGET[:1].clone().requires_grad_()
    loss = sum(box_loss(boxes, torch.tensor([[0.2, 0.2, 0.2, 0.2]])))
    loss.backward()
    assert loss.isfinite() and boxes.grad.isfinite().all()


def test_predicted_boxes_are_shares_of_the_picture_in_single_precision() -> None:
    boxes = predicted_boxes(torch.tensor([[-100.0, 0.0, 100.0, 1.0]], dtype=torch.bfloat16))
    assert boxes.dtype == torch.float32
    torch.testing.assert_close(boxes, torch.tensor([[0.0, 0.5, 1.0, 0.7310586]]))
