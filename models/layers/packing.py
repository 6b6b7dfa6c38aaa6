"""Rows without padding: where the real positions of a batch of sequences are, so that no work is done on the others.

Legend: B batch, L positions of the joint sequence, M of one modality's part, N real positions of the whole batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from one_peace.modalities import Sequence


@dataclass
class Packing:
    """Real positions, modality by modality.

    Attributes:
        batch: B.
        parts: modality and its number of rows, in order.
        lengths: M of each part; they sum up to L.
        index_N: place b * L + l of each row in the joint sequence; None when rows are all places in order.
        own_index: place b * M + m of each of a part's rows in the part alone; None when nothing is padded.
        sample_N: b of each row.
    """

    batch: int
    parts: list[tuple[str, int]]
    lengths: list[int]
    index_N: Tensor | None
    own_index: list[Tensor | None]
    sample_N: Tensor

    @classmethod
    def of(cls, sequences: list[Sequence], skip_padding: bool) -> "Packing":
        """The packing of a joint sequence; padded positions are left out when ``skip_padding``."""
        batch, device = len(sequences[0].x_BLD), sequences[0].x_BLD.device
        lengths = [sequence.x_BLD.shape[1] for sequence in sequences]
        parts, own_index, samples, places, offset = [], [], [], [], 0
        for sequence, length in zip(sequences, lengths, strict=True):
            own = torch.arange(batch * length, device=device)
            padded = skip_padding and sequence.padding_BL is not None
            if padded:
                own = (~sequence.padding_BL).flatten().nonzero()[:, 0]
            sample = own // length
            parts.append((sequence.name, len(own)))
            own_index.append(own if padded else None)
            samples.append(sample)
            places.append(sample * sum(lengths) + offset + own % length)
            offset += length
        in_order = len(sequences) == 1 and own_index[0] is None
        return cls(batch, parts, lengths, None if in_order else torch.cat(places), own_index, torch.cat(samples))

    def pack_parts(self, parts_BMD: list[Tensor]) -> Tensor:
        """x_BMD of each part -> rows x_ND."""
        rows = [
            x.flatten(0, 1) if own is None else x.flatten(0, 1)[own]
            for x, own in zip(parts_BMD, self.own_index, strict=True)
        ]
        return torch.cat(rows) if len(rows) > 1 else rows[0]

    def split(self, x_ND: Tensor) -> list[Tensor]:
        """Rows of each part."""
        return list(x_ND.split([rows for _, rows in self.parts]))

    def unpack_parts(self, rows: list[Tensor]) -> list[Tensor]:
        """Rows of each part -> x_BMD, 0 where nothing is real."""
        return [
            (x if own is None else x.new_zeros(self.batch * length, x.shape[-1]).index_copy(0, own, x)).unflatten(
                0, (self.batch, length)
            )
            for x, own, length in zip(rows, self.own_index, self.lengths, strict=True)
        ]

    def pad(self, x_ND: Tensor) -> Tensor:
        """Rows -> the joint sequence x_BLD, 0 where nothing is real."""
        length = sum(self.lengths)
        if self.index_N is not None:
            x_ND = x_ND.new_zeros(self.batch * length, x_ND.shape[-1]).index_copy(0, self.index_N, x_ND)
        return x_ND.unflatten(0, (self.batch, length))

    def pack(self, x_BLD: Tensor) -> Tensor:
        """The joint sequence -> rows."""
        rows = x_BLD.flatten(0, 1)
        return rows if self.index_N is None else rows.index_select(0, self.index_N)
