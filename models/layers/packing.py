"""Rows without padding: the real positions of several passes, stacked modality by modality.

Projections and feed-forward networks see one matrix of rows for all passes of a step; attention alone sees each pass as
a rectangle. Legend: B batch and L positions of a pass, M positions of one modality's part of it, N rows of all passes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Extent:
    """One modality's part of a pass, as far as packing cares: its size, and which places exist (None: all)."""

    name: str
    batch: int
    length: int
    device: torch.device
    exists_BM: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Part:
    extent: Extent
    start: int  # its rows are start ... start + rows
    rows: int
    own_N: Tensor | None  # place b * M + m of each row; None: all places in order
    place_N: Tensor | None  # place b * L + l of each row in the pass; None: all places of the pass in order


class Packing:
    """Where the rows of some passes are.

    Attributes:
        passes: per pass its parts, in the order they are joined.
        modalities: (name, rows) in the order in which rows are stacked.
        samples: of all passes.
        sample_N: running number of each row's sample, counted over all passes.
    """

    def __init__(self, passes: list[list[Extent]], first_sample: list[int] | None = None):
        batches = [extents[0].batch for extents in passes]
        self.first_sample = first_sample or [sum(batches[:i]) for i in range(len(passes))]
        self.samples = sum(batches)
        self.passes: list[list[_Part]] = [[None] * len(extents) for extents in passes]
        self.modalities, samples, start = [], [], 0
        for name in dict.fromkeys(extent.name for extents in passes for extent in extents):
            before = start
            for i, extents in enumerate(passes):
                for j, extent in enumerate(extents):
                    if extent.name == name:
                        self.passes[i][j], sample_N = self._place(extents, j, start)
                        samples.append(sample_N + self.first_sample[i])
                        start += len(sample_N)
            self.modalities.append((name, start - before))
        self._stack = sorted(
            ((i, part) for i, parts in enumerate(self.passes) for part in parts), key=lambda entry: entry[1].start
        )
        self.sample_N = torch.cat(samples)
        self._rows = [self._rows_of_places(parts) for parts in self.passes]

    def subset(self, passes: list[int]) -> "Packing":
        """The packing of some of the passes, whose samples keep their numbers."""
        return Packing(
            [[part.extent for part in self.passes[i]] for i in passes], [self.first_sample[i] for i in passes]
        )

    def rows_of_subset(self, x_ND: Tensor, subset: "Packing") -> Tensor:
        """The rows of a `subset` of this packing."""
        kept = [self.passes[self.first_sample.index(first)] for first in subset.first_sample]
        parts = [kept[i][subset.passes[i].index(part)] for i, part in subset._stack]
        return _cat([x_ND[part.start : part.start + part.rows] for part in parts])

    @staticmethod
    def _place(extents: list[Extent], j: int, start: int) -> tuple[_Part, Tensor]:
        """A pass's j-th part, and which sample of the pass each of its rows belongs to."""
        extent = extents[j]
        if extent.exists_BM is None:
            own_N = torch.arange(extent.batch * extent.length, device=extent.device)
        else:
            own_N = extent.exists_BM.flatten().nonzero()[:, 0]
        sample_N = own_N // extent.length
        offset, length = sum(e.length for e in extents[:j]), sum(e.length for e in extents)
        in_order = extent.exists_BM is None
        place_N = None if in_order and len(extents) == 1 else sample_N * length + offset + own_N % extent.length
        return _Part(extent, start, len(own_N), None if in_order else own_N, place_N), sample_N

    @staticmethod
    def _rows_of_places(parts: list[_Part]) -> tuple[Tensor | None, Tensor | None]:
        """The row of each place b * L + l (None: places in order), and the places where none exists (None: no such)."""
        if parts[0].place_N is None:
            return None, None
        places = parts[0].extent.batch * sum(part.extent.length for part in parts)
        row_P = parts[0].place_N.new_full((places,), -1)
        for part in parts:
            row_P[part.place_N] = torch.arange(part.start, part.start + part.rows, device=row_P.device)
        if places == sum(part.rows for part in parts):
            return row_P, None
        return row_P.clamp(min=0), (row_P < 0).nonzero()[:, 0]

    def pack(self, parts_BMD: list[list[Tensor]]) -> Tensor:
        """x_BMD of each part of each pass -> rows x_ND."""
        rows = []
        for i, part in self._stack:
            x_BMD = parts_BMD[i][self.passes[i].index(part)]
            rows.append(_select(x_BMD.flatten(0, 1), part.own_N))
        return _cat(rows)

    def unpack(self, x_ND: Tensor) -> list[dict[str, Tensor]]:
        """Rows -> per pass and modality x_BMD, 0 where nothing exists."""
        return [{part.extent.name: self._unpack_part(x_ND, part) for part in parts} for parts in self.passes]

    @staticmethod
    def _unpack_part(x_ND: Tensor, part: _Part) -> Tensor:
        x, extent = x_ND[part.start : part.start + part.rows], part.extent
        if part.own_N is not None:
            x = x.new_zeros(extent.batch * extent.length, x.shape[-1]).index_copy(0, part.own_N, x)
        return x.unflatten(0, (extent.batch, extent.length))

    def rows_of_parts(self, x_ND: Tensor) -> list[dict[str, Tensor]]:
        """Rows -> per pass and modality its rows."""
        return [{p.extent.name: x_ND[p.start : p.start + p.rows] for p in parts} for parts in self.passes]

    def split(self, x_ND: Tensor) -> list[tuple[str, Tensor]]:
        """Rows of each modality, all passes together."""
        parts = x_ND.split([rows for _, rows in self.modalities])
        return [(name, part) for (name, _), part in zip(self.modalities, parts, strict=True)]

    def rectangles(self, x_ND: Tensor) -> list[Tensor]:
        """Rows -> x_BLD of each pass, 0 where nothing exists; the inverse of `rows`."""
        return list(_Rectangles.apply(x_ND, self))

    def rows(self, rectangles_BLD: list[Tensor]) -> Tensor:
        """x_BLD of each pass -> rows."""
        return _Rows.apply(self, *rectangles_BLD)

    def spread(self, x_ND: Tensor) -> Iterator[Tensor]:
        """`rectangles` outside of autograd, one after the other."""
        for parts, (row_P, missing_P) in zip(self.passes, self._rows, strict=True):
            if row_P is None:
                x = x_ND[parts[0].start : parts[0].start + parts[0].rows]
            else:
                x = x_ND.index_select(0, row_P)
                if missing_P is not None:
                    x.index_fill_(0, missing_P, 0)
            yield x.unflatten(0, (parts[0].extent.batch, -1))

    def gather(self, rectangles_BLD: Sequence[Tensor]) -> Tensor:
        """`rows` outside of autograd; what is in place of D may have several dimensions."""
        x = rectangles_BLD[0]
        if len(self._stack) == 1 and self._stack[0][1].place_N is None:
            return x.flatten(2).flatten(0, 1)
        rows_ND = x.new_empty(len(self.sample_N), math.prod(x.shape[2:]))
        for i, part in self._stack:
            x, of_part = rectangles_BLD[i], rows_ND[part.start : part.start + part.rows]
            if part.place_N is None:
                of_part.view(x.shape).copy_(x)
            else:
                torch.index_select(x.flatten(2).flatten(0, 1), 0, part.place_N, out=of_part)
        return rows_ND

    def pick(self, chosen: "Packing") -> Tensor:
        """The row of this packing that each row of ``chosen`` is: a packing of some of the same passes' places."""
        rows, index = [], {first: i for i, first in enumerate(self.first_sample)}
        for i, part in chosen._stack:
            parts = self.passes[index[chosen.first_sample[i]]]
            mine = next(p for p in parts if p.extent.name == part.extent.name)
            own_N = torch.arange(part.rows, device=self.sample_N.device) if part.own_N is None else part.own_N
            length = part.extent.length
            place_N = own_N // length * mine.extent.length + own_N % length
            if mine.own_N is not None:
                place_N = mine.extent.exists_BM.flatten().cumsum(0)[place_N] - 1
            rows.append(place_N + mine.start)
        return torch.cat(rows)


def _select(rows: Tensor, index: Tensor | None) -> Tensor:
    return rows if index is None else rows.index_select(0, index)


def _cat(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


class _Rectangles(torch.autograd.Function):
    """Autograd would add up a whole matrix of rows for each pass; the adjoint of taking apart is putting together."""

    @staticmethod
    def forward(ctx, x_ND, packing):
        ctx.packing = packing
        return tuple(packing.spread(x_ND))

    @staticmethod
    def backward(ctx, *grads):
        return ctx.packing.gather(grads), None


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, packing, *rectangles):
        ctx.packing = packing
        return packing.gather(rectangles)

    @staticmethod
    def backward(ctx, grad):
        return None, *ctx.packing.spread(grad)


@dataclass(frozen=True)
class Chosen:
    """Some of a packing's rows, those whose features are wanted: their own packing, and the row each of them is."""

    packing: Packing
    row_M: Tensor
