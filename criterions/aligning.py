"""Cross-modal aligning contrast (paper, section 3.2).

Legend: B local batch, G global batch (all ranks), D width.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather as all_gather_with_grad

from .cross_entropy import contrast


def aligning_contrast(
    a_BD: Tensor, b_BD: Tensor, logit_scale: Tensor, *, label_smoothing: float = 0.0, gather_with_grad: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """InfoNCE both ways: the mean of the cross entropies a -> b and b -> a over in-batch similarities.

    Args:
        a_BD, b_BD: unit-norm embeddings; row i of one belongs to row i of the other.
        logit_scale: scalar factor on the similarities.
        label_smoothing: see `label_smoothed_cross_entropy`.
        gather_with_grad: let the gradient flow into the keys too. Off, keys are constants, as in the release.

    Returns:
        The loss averaged over local rows, and how many local rows of a and of b rank their partner first.
    """
    keys_a_GD, keys_b_GD, first = gather_pairs(a_BD, b_BD, gather_with_grad)
    target_B = first + torch.arange(len(a_BD), device=a_BD.device)
    a2b, a_correct = contrast(a_BD, keys_b_GD, target_B, logit_scale, label_smoothing)
    b2a, b_correct = contrast(b_BD, keys_a_GD, target_B, logit_scale, label_smoothing)
    return 0.5 * (a2b + b2a), a_correct, b_correct


def join_as_nobody(a_BD: Tensor, b_BD: Tensor, *, gather_with_grad: bool = False) -> Tensor:
    """The part of a rank that has no batch of its own in a step the others take: it adds no keys, its loss is 0."""
    keys_a_GD, keys_b_GD, _ = gather_pairs(a_BD[:0], b_BD[:0], gather_with_grad)
    return sum(x.sum() * 0 for x in (keys_a_GD, keys_b_GD, a_BD, b_BD))


def gather_pairs(a_BD: Tensor, b_BD: Tensor, with_grad: bool) -> tuple[Tensor, Tensor, int]:
    """Rows of all ranks, Tensor[G, D] each, and the index of this rank's first. Ranks may hold different numbers."""
    if not with_grad:
        a_BD, b_BD = a_BD.detach(), b_BD.detach()
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return a_BD, b_BD, 0
    world, rank = dist.get_world_size(), dist.get_rank()
    counts = [torch.zeros(1, dtype=torch.long, device=a_BD.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(a_BD)], device=a_BD.device))
    counts = torch.cat(counts).tolist()
    pairs = torch.cat([a_BD, b_BD], dim=1)  # one collective for both
    padded = torch.cat([pairs, pairs.new_zeros(max(counts) - len(pairs), pairs.shape[1])])
    if with_grad:
        parts = list(all_gather_with_grad(padded))
    else:
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded)
    pairs = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return *pairs.split([a_BD.shape[1], b_BD.shape[1]], dim=1), sum(counts[:rank])
