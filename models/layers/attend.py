"""softmax(q k^T / sqrt(K) + bias) v over packed rows with a trained bias, without keeping the weights.

Legend: N rows of all passes, D width; of one pass B samples, H heads, Q queries, L keys, K = D / H width of a head.
"""

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .packing import Packing

# Elements of one block of logits in the CPU's backward: 2 MB of float32 stay in its cache.
_BLOCK = 1 << 19
# cuDNN's kernel, preferred on Hopper, has returned wrong gradients with a trained bias; flash has no bias at all.
_CUDA = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def attend(
    q_ND: Tensor, k_ND: Tensor, v_ND: Tensor, heads: int, queries: Packing, keys: Packing, biases: list[Tensor | None]
) -> Tensor:
    """Attention output, rows as in ``queries``.

    Args:
        q_ND: rows of ``queries``.
        k_ND, v_ND: rows of ``keys``, which packs the same passes.
        biases: per pass Tensor[1 or B, 1 or H, Q, L] that is added to the logits, -inf hides a key; it gets a gradient.
    """
    if not q_ND.is_cuda:
        return _CpuAttention.apply(heads, queries, keys, q_ND, k_ND, v_ND, *biases)
    outputs = []
    rectangles = (queries.rectangles(q_ND), keys.rectangles(k_ND), keys.rectangles(v_ND))
    for q, k, v, bias in zip(*rectangles, biases, strict=True):
        with sdpa_kernel(_CUDA):
            outputs.append(_fused(split_heads(q, heads), split_heads(k, heads), split_heads(v, heads), bias))
    return queries.rows([merge_heads(out) for out in outputs])


def split_heads(x_BLD: Tensor, heads: int) -> Tensor:
    """x_BLD -> x_BHLK."""
    return x_BLD.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x_BHLK: Tensor) -> Tensor:
    """x_BHLK -> x_BLD."""
    return x_BHLK.transpose(1, 2).flatten(2)


def _fused(q_BHQK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, bias_BHQL: Tensor | None) -> Tensor:
    if bias_BHQL is not None:
        bias_BHQL = bias_BHQL.to(q_BHQK).expand(len(q_BHQK), -1, -1, -1)
    return F.scaled_dot_product_attention(q_BHQK, k_BHLK, v_BHLK, attn_mask=bias_BHQL)


def aligned(bias_BHQL: Tensor) -> Tensor:
    """The same in memory whose rows start at multiples of 8, as GPU kernels want it; made once for all layers."""
    length = bias_BHQL.shape[-1]
    if not bias_BHQL.is_cuda or length % 8 == 0:
        return bias_BHQL
    return F.pad(bias_BHQL, (0, -length % 8))[..., :length]


class _CpuAttention(torch.autograd.Function):
    """Forward is PyTorch's fused kernel, which has no gradient for the bias; backward recomputes blocks of samples."""

    @staticmethod
    def forward(ctx, heads, queries, keys, q_ND, k_ND, v_ND, *biases):
        ctx.heads, ctx.queries, ctx.keys = heads, queries, keys
        ctx.save_for_backward(q_ND, k_ND, v_ND, *biases)
        outputs = []
        for qkv, bias in zip(_CpuAttention._split(ctx, q_ND, k_ND, v_ND), biases, strict=True):
            outputs.append(_fused(*qkv, None if bias is None else bias.detach()).transpose(1, 2))
        return queries.gather(outputs)

    @staticmethod
    def _split(ctx, q_ND, k_ND, v_ND) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """q, k and v of one pass after the other: most of them are copies."""
        spread = ((ctx.queries, q_ND), (ctx.keys, k_ND), (ctx.keys, v_ND))
        for rectangles in zip(*(packing.spread(rows.detach()) for packing, rows in spread), strict=True):
            yield tuple(split_heads(x, ctx.heads) for x in rectangles)

    @staticmethod
    def backward(ctx, d_ND):
        q_ND, k_ND, v_ND, *biases = ctx.saved_tensors
        rectangles, d_biases = ([], [], []), []
        parts = zip(
            _CpuAttention._split(ctx, q_ND, k_ND, v_ND),
            biases,
            ctx.queries.spread(d_ND),
            ctx.needs_input_grad[6:],
            strict=True,
        )
        for qkv, bias, d_BLD, trained in parts:
            *d_qkv, d_bias = _gradients(*qkv, bias, split_heads(d_BLD, ctx.heads), trained)
            d_biases.append(d_bias)
            for found, d in zip(rectangles, d_qkv, strict=True):
                found.append(d.transpose(1, 2))
        packings = (ctx.queries, ctx.keys, ctx.keys)
        d_rows = [packing.gather(found) for packing, found in zip(packings, rectangles, strict=True)]
        return None, None, None, *d_rows, *d_biases


def _gradients(q, k, v, bias, d_out, bias_trained: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients of one pass's q, k, v and bias, block by block of its samples and, of long ones, their heads."""
    scale = q.shape[-1] ** -0.5
    dq, dk, dv = (x.new_empty(x.shape) for x in (q, k, v))  # in this order a block of them is one piece of memory
    d_bias = torch.zeros_like(bias) if bias_trained else None
    head = q.shape[2] * k.shape[2]
    heads = min(q.shape[1], max(1, _BLOCK // head))
    for part in product(_slices(len(q), max(1, _BLOCK // (heads * head))), _slices(q.shape[1], heads)):
        own_bias = of_bias = None
        if bias is not None:  # samples and heads may share it
            of_bias = tuple(own if size > 1 else slice(None) for own, size in zip(part, bias.shape, strict=False))
            own_bias = bias[of_bias].to(q)
        gradients = (x[part].view(-1, *x.shape[2:]) for x in (dq, dk, dv))
        ds = _block_gradients(scale, q[part], k[part], v[part], own_bias, d_out[part], *gradients)
        if d_bias is not None:
            d_bias[of_bias] += ds.sum_to_size(own_bias.shape)
    return dq, dk, dv, d_bias


def _slices(length: int, step: int) -> list[slice]:
    return [slice(start, start + step) for start in range(0, length, step)]


def _block_gradients(scale: float, q, k, v, bias, d_out, dq, dk, dv) -> Tensor:
    """The gradient of the logits; those of q, k and v go to the last three."""
    shape = q.shape[:2]
    q, k, v, d_out = (x.flatten(0, 1) for x in (q, k, v, d_out))
    added = q.new_zeros(()) if bias is None else bias.expand(*shape, -1, -1).flatten(0, 1)
    logits = torch.baddbmm(added, q, k.mT, alpha=scale)
    weights = logits.softmax(-1, dtype=torch.promote_types(q.dtype, torch.float32))
    torch.bmm(weights.to(q).mT, d_out, out=dv)
    d_weights = (d_out @ v.mT).to(weights)
    ds = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype).to(q)
    torch.baddbmm(dq, ds, k, beta=0, alpha=scale, out=dq)
    torch.baddbmm(dk, ds.mT, q, beta=0, alpha=scale, out=dk)
    return ds.unflatten(0, shape)
