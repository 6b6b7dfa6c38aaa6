"""A user's own modality, in one file: curves written as numbers in the manifest. The project knows nothing of it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from one_peace import user_module  # noqa: F401  (registers tasks, models, criterions)
from one_peace.data.errors import SampleError
from one_peace.modalities import Adapter, AdapterConfig, Reader, ReaderConfig, register_modality

POINTS = 4  # numbers in one unit


@dataclass
class CurveReaderConfig(ReaderConfig):
    """Options of the reader."""

    max_units: int = 8


class CurveReader(Reader):
    """A cell such as ``0.1 0.5 -0.3 ...`` -> float32[N, 4]."""

    Config = CurveReaderConfig

    def load(self, cell, root, generator=None) -> Tensor:
        try:
            numbers = [float(number) for number in cell.split()]
        except ValueError as error:
            raise SampleError(f"not a curve: {error}") from None
        if len(numbers) < POINTS:
            raise SampleError(f"a curve of {len(numbers)} numbers; at least {POINTS} are needed")
        whole = len(numbers) // POINTS * POINTS
        return torch.tensor(numbers[:whole]).view(-1, POINTS)[: self.config.max_units]

    def num_units(self, value: Tensor) -> int:
        return len(value)


@dataclass
class CurveAdapterConfig(AdapterConfig):
    """Options of the adapter."""

    use_attn_bias: bool = False
    max_positions: int = field(default=16, metadata={"help": "longest curve, CLS included"})


@register_modality("curve", config=CurveAdapterConfig, reader=CurveReader)
class CurveAdapter(Adapter):
    """Units of four numbers -> Sequence."""

    def __init__(self, name, config, embed_dim, attention_heads, **kwargs):
        super().__init__(name, config, embed_dim, attention_heads, **kwargs)
        if kwargs.get("stem", True):
            self.embed_points = nn.Linear(POINTS, embed_dim)
        self.embed_positions = nn.Embedding(config.max_positions, embed_dim)

    def embed(self, values: Tensor) -> Tensor:
        return self.embed_points(values)

    def absolute_positions(self, length: int) -> Tensor:
        return self.embed_positions.weight[:length]

    def num_relative_buckets(self) -> int:
        return 0

    def relative_index(self, length: int) -> Tensor:
        raise NotImplementedError("curves have no relative positions")
