"""Objectives over logits: one class, several, soft targets, or one choice of a few.

Legend: B samples, C classes or choices. Losses are sums over samples, in float32 at least.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(
    logits_BC: Tensor, target: Tensor, *, multi_label: bool = False, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross entropy, or binary cross entropy a class.

    Args:
        logits_BC: scores of the classes.
        target: the class of each sample, int64[B]; or each class's share, float[B, C], of a mixture of classes or, with
            ``multi_label``, of each class by itself.
        multi_label: every class is a yes or no of its own.
        label_smoothing: mass spread over all C classes (PyTorch's formula); of cross entropy only.

    Returns:
        The loss, and how many samples rank a right class first: with shares, the sum of those classes' shares.

    Raises:
        ValueError: ``multi_label`` with one class a sample.
    """
    logits_BC = logits_BC.to(torch.promote_types(logits_BC.dtype, torch.float32))
    best_B = logits_BC.detach().argmax(dim=1)
    if not target.is_floating_point():
        if multi_label:
            raise ValueError("several labels a sample (use_multi_label) need a score for each class, not one class")
        loss = F.cross_entropy(logits_BC, target, reduction="sum", label_smoothing=label_smoothing)
        return loss, (best_B == target).sum()
    target = target.to(logits_BC)
    if multi_label:
        loss = F.binary_cross_entropy_with_logits(logits_BC, target, reduction="sum")
    else:
        loss = F.cross_entropy(logits_BC, target, reduction="sum", label_smoothing=label_smoothing)
    return loss, target.gather(1, best_B[:, None]).sum()


def hinge_loss(
    logits_BC: Tensor, target_B: Tensor, *, margin: float = 1.0, release: bool = False
) -> tuple[Tensor, Tensor]:
    """Every wrong choice should score at least ``margin`` less than the right one.

    Args:
        logits_BC: scores of the choices.
        target_B: the right one.
        margin: no loss beyond it.
        release: the original release's arithmetic: margin 1, and the right choice's own 1 is counted too.

    Returns:
        Sum of max(0, margin + logit - right logit) over wrong choices; how many samples rank the right one first.
    """
    logits_BC = logits_BC.to(torch.promote_types(logits_BC.dtype, torch.float32))
    right_B1 = logits_BC.gather(1, target_B[:, None])
    loss_BC = (logits_BC - right_B1 + (1.0 if release else margin)).clamp(min=0)
    if not release:
        loss_BC = loss_BC.scatter(1, target_B[:, None], 0)
    return loss_BC.sum(), (logits_BC.argmax(dim=1) == target_B).sum()
