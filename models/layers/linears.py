"""Linear maps of something cheap, which is recomputed for backward instead of kept.

``[h @ W.T + b for W, b in ...]`` with ``h = before(*sources)``, where ``before`` is a norm or an activation: backward
needs h (for the weights' gradients), but matrix products are what costs time and elementwise results what costs memory.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-5


def layer_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """LayerNorm over the last dimension; x itself without ``weight``, which is how a norm is left out."""
    return x if weight is None else F.layer_norm(x, weight.shape, weight, bias, LAYER_NORM_EPS)


def linears(before: Callable[..., Tensor], sources: Sequence[Tensor], maps: Sequence[nn.Linear]) -> tuple[Tensor, ...]:
    """Each of ``maps`` applied to ``before(*sources)``; of all this only ``sources`` are kept for backward.

    Args:
        before: a deterministic function of ``sources`` alone, parameters included; called again in backward.
        sources: tensors.
        maps: one result each.
    """
    weights, biases = [m.weight for m in maps], [m.bias for m in maps]
    if torch.is_grad_enabled():
        return _Linears.apply(before, len(sources), len(maps), *sources, *weights, *biases)
    h = before(*sources)
    return tuple(F.linear(h, weight, bias) for weight, bias in zip(weights, biases, strict=True))


class _Linears(torch.autograd.Function):
    @staticmethod
    def forward(ctx, before, n_sources, n_maps, *tensors):
        weights, biases = tensors[n_sources : n_sources + n_maps], tensors[n_sources + n_maps :]
        ctx.before, ctx.n_sources = before, n_sources
        ctx.save_for_backward(*tensors[: n_sources + n_maps])
        h = before(*tensors[:n_sources])
        return tuple(F.linear(h, weight, bias) for weight, bias in zip(weights, biases, strict=True))

    @staticmethod
    def backward(ctx, *grads):
        n, needs = ctx.n_sources, ctx.needs_input_grad[3:]
        weights = ctx.saved_tensors[n:]
        sources = [x.detach().requires_grad_(need) for x, need in zip(ctx.saved_tensors[:n], needs, strict=False)]
        trained = [x for x in sources if x.requires_grad]
        with torch.set_grad_enabled(bool(trained)):
            h = ctx.before(*sources)
        found = iter(())
        if trained:
            dh = grads[0] @ weights[0]
            for grad, weight in zip(grads[1:], weights[1:], strict=True):
                dh.addmm_(grad, weight)
            found = iter(torch.autograd.grad(h, trained, dh))
        d_sources = [next(found) if x.requires_grad else None for x in sources]
        d_weights = [grad.T @ h.detach() if need else None for grad, need in zip(grads, needs[n:], strict=False)]
        d_biases = [grad.sum(0) if need else None for grad, need in zip(grads, needs[n + len(grads) :], strict=True)]
        return None, None, None, *d_sources, *d_weights, *d_biases
