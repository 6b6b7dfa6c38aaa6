"""Modalities: one folder each, ``adapter.py`` (network) and ``reader.py`` (data). Importing this room plugs them in."""

from one_peace.data import quiet_fairseq  # noqa: F401  # isort: skip

from .adapter import Adapter, AdapterConfig, Sequence
from .reader import Reader, ReaderConfig
from .registry import Modality, build_readers, get_modality, modality_names, override_readers, register_modality

# the built-in modalities, in the order in which users see them
from . import text  # noqa: F401  # isort: skip
from . import image  # noqa: F401  # isort: skip
from . import audio  # noqa: F401  # isort: skip

__all__ = [
    "Adapter",
    "AdapterConfig",
    "Modality",
    "Reader",
    "ReaderConfig",
    "Sequence",
    "build_readers",
    "get_modality",
    "modality_names",
    "override_readers",
    "register_modality",
]
