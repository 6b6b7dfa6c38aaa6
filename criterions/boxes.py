"""The objective of finding one box: L1 distance and generalised IoU (Rezatofighi et al. 2019).

Legend: B boxes, each (x0, y0, x1, y1) as shares of the picture's sides.
"""

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss


def predicted_boxes(logits_B4: Tensor) -> Tensor:
    """Boxes in [0, 1], in float32 at least."""
    return logits_B4.to(torch.promote_types(logits_B4.dtype, torch.float32)).sigmoid()


def box_loss(boxes_B4: Tensor, target_B4: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance of all boxes divided by B, and the mean of 1 - GIoU over those that are boxes, x0 < x1 and y0 < y1.

    The latter is 0, still connected to the boxes, when none is.
    """
    target_B4 = target_B4.to(boxes_B4)
    l1 = (boxes_B4 - target_B4).abs().sum() / len(boxes_B4)
    valid_B = (boxes_B4[:, 0] < boxes_B4[:, 2]) & (boxes_B4[:, 1] < boxes_B4[:, 3])
    # the others are replaced before the division by their areas: NaN times 0 were still NaN in backward
    whole_B4 = boxes_B4.new_tensor([0, 0, 1, 1]).expand_as(boxes_B4)
    giou_B = generalized_box_iou_loss(boxes_B4.where(valid_B[:, None], whole_B4), target_B4)
    return l1, (giou_B * valid_B).sum() / valid_B.sum().clamp(min=1)
