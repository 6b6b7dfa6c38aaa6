"""Modalities: one folder each, ``adapter.py`` (network) and ``reader.py`` (data). Importing this room plugs them in."""

from .adapter import Adapter, AdapterConfig, Sequence
from .reader import Reader, ReaderConfig
from .registry import Modality, get_modality, modality_names, register_modality

# isort: split
from . import audio, image, text  # noqa: F401  (registers the built-in modalities)

__all__ = [
    "Adapter",
    "AdapterConfig",
    "Modality",
    "Reader",
    "ReaderConfig",
    "Sequence",
    "get_modality",
    "modality_names",
    "register_modality",
]
