"""A modality of the user's own, ``vector``: SVG drawings as sequences of path segments. This file plugs it in.

Legend: B drawings, N segments, F numbers each (see `segments`), D width, L = 1 + N positions with CLS first.
"""

import functools
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import BoolTensor, FloatTensor, Generator, Tensor, nn

from one_peace.data.errors import SampleError
from one_peace.data.masking import span_mask
from one_peace.modalities import Adapter, AdapterConfig, Reader, ReaderConfig, register_modality
from one_peace.modalities.reader import media_path, option
from one_peace.modalities.relative_positions import MAX_POSITIONS, num_token_buckets, token_buckets

from .segments import FEATURES, PLACES, DrawingError, read_segments

WAVES = math.pi * 2.0 ** torch.arange(4)  # sines and cosines of coordinates tell near places apart

# Parsing takes as long as learning: without worker processes a run parses each drawing once, and keeps 75 MB at most.
_read_once = functools.lru_cache(maxsize=8192)(read_segments)


@dataclass
class VectorReaderConfig(ReaderConfig):
    max_segments: int = option(96, low=1, high=MAX_POSITIONS - 1, help="the longest segments of a drawing are used")
    jitter: float = option(0.1, low=0, high=0.5, help="share by which training stretches and moves a drawing")


class VectorReader(Reader):
    """A path -> float32[N, F]."""

    Config = VectorReaderConfig
    strategies = ("span",)

    def load(self, cell: str, root: Path, generator: Generator | None = None) -> FloatTensor:
        try:
            segments = torch.tensor(_read_once(media_path(cell, root), self.config.max_segments))
        except DrawingError as error:
            raise SampleError(f"drawing {error}") from None
        if generator is not None:
            stretch, move = self.config.jitter * (2 * torch.rand(2, 2, generator=generator) - 1)
            places = segments[:, PLACES].unflatten(1, (-1, 2))
            segments[:, PLACES] = (places * (1 + stretch) + move).flatten(1)
        return segments

    def num_units(self, value: Tensor) -> int:
        return len(value)

    def mask(self, value: Tensor, strategy: str, ratio: float, generator=None, previous=None) -> BoolTensor:
        self.check_strategy(strategy)
        return span_mask(self.num_units(value), ratio, generator=generator)


@dataclass
class VectorAdapterConfig(AdapterConfig):
    bucket_size: int = field(default=64, metadata={"help": "relative positions: distances told apart a side"})


@register_modality("vector", config=VectorAdapterConfig, reader=VectorReader)
class VectorAdapter(Adapter):
    """Segments Tensor[B, N, F] -> Sequence, in the order in which they are painted."""

    def __init__(self, name: str, config: VectorAdapterConfig, embed_dim: int, attention_heads: int, **kwargs):
        super().__init__(name, config, embed_dim, attention_heads, **kwargs)
        if kwargs.get("stem", True):  # the decoder receives vectors
            inputs = nn.Linear(FEATURES + 2 * len(WAVES) * (PLACES.stop - PLACES.start), embed_dim)
            self.embed_segments = nn.Sequential(inputs, nn.GELU(), nn.Linear(embed_dim, embed_dim))
        self.embed_positions = nn.Embedding(MAX_POSITIONS, embed_dim)

    def embed(self, values: Tensor) -> Tensor:
        waves = (values[..., PLACES, None] * WAVES.to(values)).flatten(-2)
        return self.embed_segments(torch.cat([values, waves.sin(), waves.cos()], dim=-1))

    def absolute_positions(self, length: int) -> Tensor:
        return self.embed_positions.weight[:length]

    def num_relative_buckets(self) -> int:
        return num_token_buckets(self.config.bucket_size)

    def relative_index(self, length: int) -> Tensor:
        return token_buckets(length, self.config.bucket_size, self.embed_positions.weight.device)
