"""Linear maps of something cheap, which is recomputed for backward instead of kept.

``[h @ W.T + b for W, b in ...]`` with ``h = before(*sources)``, where ``before`` is a norm or an activation: backward
needs h (for the weights' gradients), but matrix products are what costs time and elementwise results what costs memory.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LAYER_NORM_EPS = 1e-5
_BLOCK = 2048  # rows, at most, that a CPU takes at a time: what lies between two products is no longer than that


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
        sources: matrices of as many rows as h, which come first, and vectors, which all rows share.
        maps: one result each.
        gamma_D: factor on the outputs (of a single map); its gradient needs no output either.
    """
    weights, biases = [m.weight for m in maps], [m.bias for m in maps]
    if not torch.is_grad_enabled():
        return _outputs(before, sources, weights, biases, gamma_D)
    return _Linears.apply(before, len(sources), gamma_D, *sources, *weights, *biases)


def _outputs(
    before: Before,
    sources: Sequence[Tensor],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    gamma_D: Tensor | None,
) -> tuple[Tensor, ...]:
    scaled = gamma_D is not None and _many(sources[0], weights[0])
    if scaled:
        weights = [gamma_D[:, None] * weights[0]]
        biases = [None if biases[0] is None else gamma_D * biases[0]]
    blocks = _blocks(sources[0])
    if len(blocks) == 1:
        h = before.forward(*sources)[0]
        outputs = [F.linear(h, weight, bias) for weight, bias in zip(weights, biases, strict=True)]
    else:
        outputs = [sources[0].new_empty(len(sources[0]), len(weight)) for weight in weights]
        for block in blocks:
            h = before.forward(*_rows(sources, block))[0]
            for out, weight, bias in zip(outputs, weights, biases, strict=True):
                if bias is None:
                    torch.mm(h, weight.T, out=out[block])
                else:
                    torch.addmm(bias, h, weight.T, out=out[block])
    return tuple(outputs if gamma_D is None or scaled else [outputs[0].mul_(gamma_D)])


def _many(x: Tensor, weight: Tensor) -> bool:
    """Whether to scale the weight, not the outputs: cheaper, but in float16 a small gamma leaves nothing of it."""
    return len(x) > weight.shape[1] and x.dtype != torch.float16


def _blocks(x: Tensor) -> list[slice]:
    """All rows at once; on a CPU a part of them at a time, so that h and its gradient are never held for all.

    Half precisions would lose digits of the weights' gradients to sums of blocks.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64) or torch.compiler.is_compiling():
        return [slice(None)]
    blocks = max(1, math.ceil(len(x) / _BLOCK))
    length = math.ceil(len(x) / blocks)
    return [slice(i * length, (i + 1) * length) for i in range(blocks)]


def _rows(sources: Sequence[Tensor], block: slice) -> Sequence[Tensor]:
    return sources if block == slice(None) else [source[block] if source.dim() == 2 else source for source in sources]


class _Linears(torch.autograd.Function):
    @staticmethod
    def forward(ctx, before, n_sources, gamma_D, *tensors):
        n_maps = (len(tensors) - n_sources) // 2
        weights, biases = tensors[n_sources : n_sources + n_maps], tensors[n_sources + n_maps :]
        ctx.before, ctx.n_sources = before, n_sources
        ctx.save_for_backward(gamma_D, *(biases if gamma_D is not None else [None]), *tensors[: n_sources + n_maps])
        return _outputs(before, tensors[:n_sources], weights, biases, gamma_D)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        n, (_, _, needs_gamma, *needs) = ctx.n_sources, ctx.needs_input_grad
        gamma_D, bias, *tensors = ctx.saved_tensors
        sources, weights = tensors[:n], tensors[n:]
        needs_weights, needs_biases = needs[n : n + len(grads)], needs[n + len(grads) :]
        # y = gamma * (W h + b): the sums over rows of grad h^T and grad give those of W, b and gamma.
        needs_products = [need or needs_gamma for need in needs_weights]
        needs_sums = [need or (needs_gamma and bias is not None) for need in needs_biases]
        sums = [grad.sum(0) if need else None for grad, need in zip(grads, needs_sums, strict=True)]
        factor_D, weights_of_dh = None, weights
        if gamma_D is not None and any(needs[:n]):
            if _many(sources[0], weights[0]):
                weights_of_dh = [weights[0] * gamma_D[:, None]]
            else:
                factor_D = gamma_D
        products, d_sources = [None] * len(grads), [None] * n
        for block in _blocks(sources[0]):
            some, of_some = _rows(sources, block), _rows(grads, block)
            h, saved = ctx.before.forward(*some)
            for i, grad in enumerate(of_some):
                if needs_products[i]:
                    products[i] = _add_product(products[i], grad, h)
            del h  # its gradient may take its place
            if any(needs[:n]):
                dh = _input_gradient(of_some if factor_D is None else [of_some[0] * factor_D], weights_of_dh)
                _collect(d_sources, ctx.before.backward(dh, saved, *some), needs, block, sources)
        d_gamma = None
        if needs_gamma:
            d_gamma = torch.linalg.vecdot(products[0], weights[0])
            d_gamma = d_gamma if bias is None else d_gamma + sums[0] * bias
        if gamma_D is not None:
            products = [products[0].mul_(gamma_D[:, None]) if needs_weights[0] else None]
            sums = [sums[0] * gamma_D if needs_biases[0] else None]
        return None, None, d_gamma, *d_sources, *products, *sums


def _add_product(whole: Tensor | None, grad: Tensor, h: Tensor) -> Tensor:
    """``grad.T @ h``, added to what is there."""
    return grad.T @ h if whole is None else whole.addmm_(grad.T, h)


def _input_gradient(grads: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """That of what several maps read."""
    dh = grads[0] @ weights[0]
    for grad, weight in zip(grads[1:], weights[1:], strict=True):
        dh.addmm_(grad, weight)
    return dh


def _collect(
    whole: list[Tensor | None],
    found: Sequence[Tensor | None],
    needs: Sequence[bool],
    block: slice,
    sources: Sequence[Tensor],
) -> None:
    """Put a block's gradients of the sources to those of other blocks: rows beside each other, vectors added up."""
    for i, (gradient, source) in enumerate(zip(found, sources, strict=True)):
        if not needs[i] or gradient is None:
            continue
        if len(gradient) == len(source) and whole[i] is None:  # the first of a vector, or all rows
            whole[i] = gradient
        elif source.dim() == 1:
            whole[i] += gradient
        else:
            if whole[i] is None:
                whole[i] = torch.empty_like(source)
            whole[i][block] = gradient
