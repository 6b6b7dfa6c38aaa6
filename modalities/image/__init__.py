"""Images."""

from .adapter import ImageAdapter, ImageAdapterConfig
from .reader import ImageReader

__all__ = ["ImageAdapter", "ImageAdapterConfig", "ImageReader"]
