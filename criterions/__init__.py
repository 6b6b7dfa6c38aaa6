"""Objectives as pure functions, and the fairseq criterions that use them."""

from . import contrastive, downstream  # noqa: F401  (register the criterions)
from .aligning import aligning_contrast
from .boxes import box_loss, predicted_boxes
from .classification import classification_loss, hinge_loss
from .cross_entropy import label_smoothed_cross_entropy
from .denoising import denoising_contrast

__all__ = [
    "aligning_contrast",
    "box_loss",
    "classification_loss",
    "denoising_contrast",
    "hinge_loss",
    "label_smoothed_cross_entropy",
    "predicted_boxes",
]
