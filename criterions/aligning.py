"""Cross-modal aligning contrast (paper, section 3.2).

Legend: B local batch, G global batch (all ranks), D width.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather as all_gather_with_grad

from .label_smoothing import label_smoothed_cross_entropy


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
    keys_a, first = gather_rows(a_BD, gather_with_grad)
    keys_b, _ = gather_rows(b_BD, gather_with_grad)
    target_B = first + torch.arange(len(a_BD), device=a_BD.device)
    a2b_BG = logit_scale * a_BD @ keys_b.T
    b2a_BG = logit_scale * b_BD @ keys_a.T
    loss = 0.5 * sum(label_smoothed_cross_entropy(logits, target_B, label_smoothing) for logits in (a2b_BG, b2a_BG))
    with torch.no_grad():
        a_correct, b_correct = ((logits.argmax(dim=1) == target_B).sum() for logits in (a2b_BG, b2a_BG))
    return loss, a_correct, b_correct


def join_as_nobody(a_BD: Tensor, b_BD: Tensor, *, gather_with_grad: bool = False) -> Tensor:
    """The part of a rank that has no batch of its own in a step the others take: it adds no keys, its loss is 0."""
    keys = [gather_rows(x_BD[:0], gather_with_grad)[0] for x_BD in (a_BD, b_BD)]
    return sum(x.sum() * 0 for x in (*keys, a_BD, b_BD))


def gather_rows(x_BD: Tensor, with_grad: bool) -> tuple[Tensor, int]:
    """Rows of all ranks, Tensor[G, D], and the index of this rank's first row. Ranks may hold different numbers."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return (x_BD if with_grad else x_BD.detach()), 0
    world, rank = dist.get_world_size(), dist.get_rank()
    counts = [torch.zeros(1, dtype=torch.long, device=x_BD.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(x_BD)], device=x_BD.device))
    counts = [int(count) for count in counts]
    padded = torch.cat([x_BD, x_BD.new_zeros(max(counts) - len(x_BD), x_BD.shape[1])])
    if with_grad:
        parts = list(all_gather_with_grad(padded))
    else:
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded.detach().contiguous())
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)]), sum(counts[:rank])
