"""Rows that ranks collected, brought together.

Shapes: N rows of this rank, R rows of all ranks, K distinct keys among them.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


class Rows:
    """Rows of a few columns, each row known by an int64 key; equal keys are the same row, seen more than once."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, ...]] = []

    def __len__(self) -> int:
        """Rows added on this rank, repetitions included."""
        return sum(len(part[0]) for part in self._parts)

    def clear(self) -> None:
        """Forget everything."""
        self._parts = []

    def add(self, key_N: Tensor, *columns: Tensor) -> None:
        """Add rows: their keys, and of each column N x ...

        Raises:
            ValueError: they differ in length.
        """
        if any(len(column) != len(key_N) for column in columns):
            raise ValueError(f"{len(key_N)} keys of a batch, columns of {', '.join(str(len(c)) for c in columns)} rows")
        if len(key_N):
            self._parts.append(tuple(part.detach().cpu() for part in (key_N.long(), *columns)))

    def gather(self) -> list[Tensor]:
        """Keys int64[R] and columns R x ... of all ranks in their order; empty if no rank has any. A collective."""
        own = [torch.cat(part) for part in zip(*self._parts, strict=True)] if self._parts else []
        return gather_rows(own)

    def distinct(self) -> list[Tensor]:
        """`gather` with each key once, its first row, sorted by key. A collective."""
        rows = self.gather()
        if not rows:
            return rows
        keys, index_R = rows[0].unique(return_inverse=True)
        place_R = torch.arange(len(index_R))
        first_K = torch.full((len(keys),), len(index_R)).scatter_reduce(0, index_R, place_R, "amin")
        return [column[first_K] for column in rows]


def gather_rows(columns: Sequence[Tensor]) -> list[Tensor]:
    """Columns N x ... concatenated over ranks, in rank order; N differs, and a rank without rows has no columns."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return list(columns)
    kinds: list = [None] * dist.get_world_size()
    dist.all_gather_object(kinds, [(len(column), column.shape[1:], column.dtype) for column in columns])
    known = next((kind for kind in kinds if kind), [])
    rows = [kind[0][0] if kind else 0 for kind in kinds]
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    gathered = []
    for i, (_, shape, dtype) in enumerate(known):
        padded = torch.zeros(max(rows), *shape, dtype=dtype, device=device)
        if columns:
            padded[: rows[dist.get_rank()]] = columns[i].to(device)
        parts = [torch.empty_like(padded) for _ in rows]
        dist.all_gather(parts, padded)
        gathered.append(torch.cat([part[:n].cpu() for part, n in zip(parts, rows, strict=True)]))
    return gathered


def is_first_rank() -> bool:
    """Whether this process writes what all have in common."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0
