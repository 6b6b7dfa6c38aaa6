"""Intra-modal denoising contrast (paper, section 3.2).

Legend: M masked units, U non-padded units of the local batch, D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .cross_entropy import contrast


def denoising_contrast(
    student_MD: Tensor, teacher_UD: Tensor, target_M: Tensor, *, logit_scale: float, label_smoothing: float = 0.0
) -> Tensor:
    """Each masked unit must find its own teacher among all non-padded units of this modality in the local batch.

    Args:
        student_MD: decoded features of the masked units.
        teacher_UD: features of all units of the unmasked input, CLS excluded; constants.
        target_M: the teacher row of each student.
        logit_scale: factor on the cosine similarities.
        label_smoothing: see `label_smoothed_cross_entropy`.

    Returns:
        Cross entropy averaged over masked units; 0 (still connected to the student) when nothing is masked.
    """
    if len(student_MD) == 0:
        return student_MD.sum() * 0
    rows_MD, keys_UD = _unit_norm(student_MD), _unit_norm(teacher_UD.detach())
    return contrast(rows_MD, keys_UD, target_M, logit_scale, label_smoothing)[0]


def _unit_norm(x: Tensor) -> Tensor:
    """L2-normalised in float32 at least, then back to the compute dtype."""
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1).to(x)
