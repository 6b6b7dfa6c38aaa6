"""How well boxes are found.

Shapes: R samples; a box is x0, y0, x1, y1.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.ops import box_iou

from one_peace.metrics.meter import TableMeter

_PART = 128  # torchvision compares all with all


class BoxMeter(TableMeter):
    """``acc_iou50``: the share of samples whose ``predicted`` box has an IoU of at least 0.5 with ``box``.

    Both are float64[R, 4] in the same pixels. What is no box (x0 >= x1 or y0 >= y1) is not found.
    """

    columns = ("predicted", "box")

    def names(self) -> list[str]:
        return ["acc_iou50"]

    def score(self, gathered: Mapping[str, Tensor]) -> dict[str, float]:
        iou_R = paired_iou(gathered["predicted"], gathered["box"])
        return {"acc_iou50": 100.0 * (iou_R >= 0.5).double().mean().item()}


def paired_iou(a_R4: Tensor, b_R4: Tensor) -> Tensor:
    """float64[R]: intersection over union of box i of a with box i of b; 0 where one is no box."""
    parts = zip(a_R4.double().split(_PART), b_R4.double().split(_PART), strict=True)
    iou_R = torch.cat([box_iou(a, b).diagonal() for a, b in parts])
    boxes_R = ((a_R4[:, :2] < a_R4[:, 2:]) & (b_R4[:, :2] < b_R4[:, 2:])).all(dim=1)
    return iou_R.where(boxes_R, 0)
