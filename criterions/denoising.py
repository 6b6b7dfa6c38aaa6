"""Intra-modal denoising contrast (paper, section 3.2).

Legend: B batch, L positions (CLS first), D width, M masked units, U non-padded units of the local batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .label_smoothing import label_smoothed_cross_entropy


def denoising_contrast(
    student_BLD: Tensor,
    teacher_BLD: Tensor,
    mask_BL: Tensor,
    padding_BL: Tensor | None,
    *,
    logit_scale: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Each masked unit must find its own teacher among all non-padded units of this modality in the local batch.

    Args:
        student_BLD: decoded features of the masked input.
        teacher_BLD: features of the unmasked input; constants.
        mask_BL: True where a unit was masked; never CLS, never padding.
        padding_BL: True where padded, or None.
        logit_scale: factor on the cosine similarities.

    Returns:
        Cross entropy averaged over masked units; 0 (still connected to the student) when nothing is masked.
    """
    unit_BL = torch.ones_like(mask_BL) if padding_BL is None else ~padding_BL
    unit_BL = unit_BL.index_fill(1, torch.zeros(1, dtype=torch.long, device=unit_BL.device), False)  # CLS is no unit
    if not mask_BL.any():
        return student_BLD.sum() * 0
    class_BL = unit_BL.flatten().cumsum(0).view_as(unit_BL) - 1
    student_MD, teacher_UD = _unit_norm(student_BLD[mask_BL]), _unit_norm(teacher_BLD.detach()[unit_BL])
    return label_smoothed_cross_entropy(logit_scale * student_MD @ teacher_UD.T, class_BL[mask_BL], label_smoothing)


def _unit_norm(x: Tensor) -> Tensor:
    """L2-normalised in float32 at least, then back to the compute dtype."""
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1).to(x)
