"""Objectives as pure functions, and the fairseq criterions that use them."""

from . import contrastive  # noqa: F401  (registers the criterions)
from .aligning import aligning_contrast
from .cross_entropy import label_smoothed_cross_entropy
from .denoising import denoising_contrast

__all__ = ["aligning_contrast", "denoising_contrast", "label_smoothed_cross_entropy"]
