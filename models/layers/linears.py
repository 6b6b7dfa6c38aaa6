"""Linear maps of something cheap, which is recomputed for backward instead of kept.

``[h @ W.T + b for W, b in ...]`` with ``h = before(*sources)``, where ``before`` is a norm or an activation: backward
needs h (for the weights' gradients), but matrix products are what costs time and elementwise results what costs memory.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LAYER_NORM_EPS = 1e-5


class Before(Protocol):
    """A deterministic function of its sources alone, parameters included, and its gradient."""

    def forward(self, *sources: Tensor) -> tuple[Tensor, Any]:
        """h, and what `backward` wants to know of the way there."""

    def backward(self, dh: Tensor, saved: Any, *sources: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of each source from that of h; may write over ``dh`` and ``saved``."""


class LayerNorm:
    """LayerNorm over the last dimension; x itself without ``weight`` and ``bias``, which is how a norm is left out."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> tuple[Tensor, Any]:
        if weight is None:
            return x, None
        h, mean, rstd = torch.native_layer_norm(x, weight.shape, weight, bias, LAYER_NORM_EPS)
        return h, (mean, rstd)

    @staticmethod
    def backward(
        dh: Tensor, saved: Any, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> tuple[Tensor | None, ...]:
        if weight is None:
            return (dh,)
        return torch.ops.aten.native_layer_norm_backward(
            dh, x, weight.shape, *saved, weight, bias, [True, weight.requires_grad, bias.requires_grad]
        )


def linears(
    before: Before, sources: Sequence[Tensor], maps: Sequence[nn.Linear], gamma_D: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Each of ``maps`` applied to ``before``'s h of ``sources``; of all this only ``sources`` are kept for backward.

    Args:
        before: called again in backward.
        sources: tensors.
        maps: one result each.
        gamma_D: factor on the outputs (of a single map); its gradient needs no output either.
    """
    weights, biases = [m.weight for m in maps], [m.bias for m in maps]
    if not torch.is_grad_enabled():
        return _outputs(before.forward(*sources)[0], weights, biases, gamma_D)
    return _Linears.apply(before, len(sources), gamma_D, *sources, *weights, *biases)


def _outputs(
    h: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], gamma_D: Tensor | None
) -> tuple[Tensor, ...]:
    if gamma_D is None:
        return tuple(F.linear(h, weight, bias) for weight, bias in zip(weights, biases, strict=True))
    (weight,), (bias,) = weights, biases
    if not _many(h, weight):
        return (F.linear(h, weight, bias).mul_(gamma_D),)
    return (F.linear(h, gamma_D[:, None] * weight, None if bias is None else gamma_D * bias),)


def _many(h: Tensor, weight: Tensor) -> bool:
    """Whether to scale the weight, not the outputs: cheaper, but in float16 a small gamma leaves nothing of it."""
    return len(h) > weight.shape[1] and h.dtype != torch.float16


class _Linears(torch.autograd.Function):
    @staticmethod
    def forward(ctx, before, n_sources, gamma_D, *tensors):
        n_maps = (len(tensors) - n_sources) // 2
        weights, biases = tensors[n_sources : n_sources + n_maps], tensors[n_sources + n_maps :]
        ctx.before, ctx.n_sources = before, n_sources
        ctx.save_for_backward(gamma_D, *(biases if gamma_D is not None else [None]), *tensors[: n_sources + n_maps])
        return _outputs(before.forward(*tensors[:n_sources])[0], weights, biases, gamma_D)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        n, (_, _, needs_gamma, *needs) = ctx.n_sources, ctx.needs_input_grad
        gamma_D, bias, *tensors = ctx.saved_tensors
        sources, weights = tensors[:n], tensors[n:]
        needs_weights, needs_biases = needs[n : n + len(grads)], needs[n + len(grads) :]
        h, saved = ctx.before.forward(*sources)
        # y = gamma * (W h + b): the sums over rows of grad h^T and grad give those of W, b and gamma.
        needs_products = [need or needs_gamma for need in needs_weights]
        products = [grad.T @ h if need else None for grad, need in zip(grads, needs_products, strict=True)]
        needs_sums = [need or (needs_gamma and bias is not None) for need in needs_biases]
        sums = [grad.sum(0) if need else None for grad, need in zip(grads, needs_sums, strict=True)]
        d_gamma = None
        if needs_gamma:
            d_gamma = (products[0] * weights[0]).sum(1)
            d_gamma = d_gamma if bias is None else d_gamma + sums[0] * bias
        if gamma_D is not None:
            if any(needs[:n]) and _many(h, weights[0]):
                weights = [weights[0] * gamma_D[:, None]]
            elif any(needs[:n]):
                grads = [grads[0] * gamma_D]
            products = [products[0] * gamma_D[:, None] if needs_weights[0] else None]
            sums = [sums[0] * gamma_D if needs_biases[0] else None]
        d_sources = [None] * n
        if any(needs[:n]):
            dh = grads[0] @ weights[0]
            for grad, weight in zip(grads[1:], weights[1:], strict=True):
                dh.addmm_(grad, weight)
            found = ctx.before.backward(dh, saved, *sources)
            d_sources = [d if need else None for d, need in zip(found, needs, strict=False)]
        return None, None, d_gamma, *d_sources, *products, *sums
