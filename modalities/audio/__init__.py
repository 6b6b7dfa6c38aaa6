"""Sound."""

from .adapter import AudioAdapter, AudioAdapterConfig
from .reader import AudioReader

__all__ = ["AudioAdapter", "AudioAdapterConfig", "AudioReader"]
