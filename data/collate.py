"""Samples of different lengths -> one tensor a batch."""

from collections.abc import Sequence

import torch
from torch import BoolTensor, LongTensor, Tensor


def pad_stack(rows: Sequence[Tensor], pad: float, length: int = 0, multiple: int = 1) -> Tensor:
    """Stack tensors that may differ in their first dimension, padded at the end.

    Args:
        rows: B tensors, each L_i x ... of one dtype.
        pad: the value of the places beyond L_i.
        length: pad to at least this length.
        multiple: pad to a multiple of this (some GPU kernels are faster on multiples of 8).

    Returns:
        B x L x ..., L = the longest L_i, or longer where ``length`` or ``multiple`` say so.
    """
    longest = max(length, *(len(row) for row in rows)) if rows else length
    longest = -(-longest // multiple) * multiple
    out = rows[0].new_full((len(rows), longest, *rows[0].shape[1:]), pad)
    for out_row, row in zip(out, rows, strict=True):
        out_row[: len(row)] = row
    return out


def padding_mask(num_units: Sequence[int]) -> BoolTensor:
    """bool[B, 1 + max(num_units)], True = padding. Place 0 is CLS and never padding."""
    lengths_B1 = torch.tensor(list(num_units)).unsqueeze(1)
    return torch.arange(int(lengths_B1.max()) + 1).unsqueeze(0) > lengths_B1


def collate_masks(masks: Sequence[BoolTensor]) -> dict[str, Tensor]:
    """Masks of B samples (bool[N_i], True = masked, no CLS) -> what a masked pass reads.

    Returns:
        ``mask_indices`` bool[B, 1 + N] (CLS and padded places False) and ``keep_ids`` int64[B, K]: the positions that
        the encoder sees, CLS = 0 first, ascending, rows padded with -1.
    """
    with_cls = [torch.cat([mask.new_zeros(1), mask]) for mask in masks]
    keep_ids: list[LongTensor] = [(~mask).nonzero().view(-1) for mask in with_cls]
    return {"mask_indices": pad_stack(with_cls, False), "keep_ids": pad_stack(keep_ids, -1)}
