"""Buckets of the relative position bias (token buckets for sequences, image buckets for grids).

Legend: L sequence length with CLS first, G longer side of a patch grid.
Every table has three extra buckets for CLS: its row (CLS as query), its column (CLS as key), and CLS to itself.
"""

import functools
import math

import torch
from torch import Tensor

MAX_POSITIONS = 1024
NUM_CLS_BUCKETS = 3


def _cls_buckets_(index_LL: Tensor, first_free: int) -> Tensor:
    index_LL[0, :] = first_free
    index_LL[:, 0] = first_free + 1
    index_LL[0, 0] = first_free + 2
    return index_LL


def num_token_buckets(bucket_size: int) -> int:
    """Rows of a token table: 2b-1 distances and three for CLS."""
    return 2 * bucket_size - 1 + NUM_CLS_BUCKETS


# What is cached must be fit for training, also when an embedding pass under inference mode asks for it first.
@functools.cache
@torch.inference_mode(False)
def token_buckets_by_distance(
    bucket_size: int, max_positions: int = MAX_POSITIONS, device: torch.device | None = None
) -> Tensor:
    """Bucket of each distance i - j, exact near the diagonal and logarithmic beyond it (as in T5).

    Returns:
        LongTensor[2 * max_positions - 1]; entry d + max_positions - 1 is the bucket of distance d.
    """
    mid = bucket_size // 2
    distance = torch.arange(-(max_positions - 1), max_positions)
    magnitude = torch.where(distance.abs() < mid, mid - 1, distance.abs())
    steps = torch.log(magnitude / mid) / math.log((max_positions - 1) / mid) * (mid - 1)
    far = mid + torch.ceil(steps).long()
    offset = torch.where(magnitude <= mid, distance, distance.sign() * far)
    # The two farthest distances can round one bucket too far; only CLS's own row and column ever hold them.
    return (offset + bucket_size - 1).clamp(0, 2 * bucket_size - 2).to(device)


def token_buckets(length: int, bucket_size: int, device: torch.device | None = None) -> Tensor:
    """LongTensor[L, L] of table rows for a sequence of ``length`` positions, CLS first.

    Raises:
        ValueError: longer than the 1024 positions the model has buckets for.
    """
    if length > MAX_POSITIONS:
        raise ValueError(f"a sequence of {length} positions; relative positions reach {MAX_POSITIONS}")
    position = torch.arange(length, device=device)
    by_distance = token_buckets_by_distance(bucket_size, device=device)
    index_LL = by_distance[position[:, None] - position[None, :] + MAX_POSITIONS - 1]
    return _cls_buckets_(index_LL, 2 * bucket_size - 1)


def num_grid_buckets(grid: int) -> int:
    """Rows of an image table: one for each pair of vertical and horizontal distances, and three for CLS."""
    return (2 * grid - 1) ** 2 + NUM_CLS_BUCKETS


@functools.cache
@torch.inference_mode(False)
def grid_buckets(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """LongTensor[1 + height*width, 1 + height*width] of table rows for a patch grid (2-D relative positions, as in
    BEiT). The table is that of the square around the grid, so that squares and rectangles can share it."""
    grid = max(height, width)
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ys, xs = ys.flatten(), xs.flatten()
    dy = ys[:, None] - ys[None, :] + grid - 1
    dx = xs[:, None] - xs[None, :] + grid - 1
    index_LL = torch.zeros(height * width + 1, height * width + 1, dtype=torch.long)
    index_LL[1:, 1:] = dy * (2 * grid - 1) + dx
    return _cls_buckets_(index_LL, (2 * grid - 1) ** 2).to(device)
