"""Objectives as pure functions, and the fairseq criterions that use them."""

from . import contrastive  # noqa: F401  (registers the criterions)
from .aligning import aligning_contrast
from .denoising import denoising_contrast
from .label_smoothing import label_smoothed_cross_entropy

__all__ = ["aligning_contrast", "denoising_contrast", "label_smoothed_cross_entropy"]
