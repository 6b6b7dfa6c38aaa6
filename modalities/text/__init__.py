"""Text."""

from .adapter import TextAdapter, TextAdapterConfig
from .reader import TextReader

__all__ = ["TextAdapter", "TextAdapterConfig", "TextReader"]
