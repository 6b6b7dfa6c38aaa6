"""softmax(q k^T / sqrt(K) + bias) v with a trained bias, without keeping the weights.

Legend: B batch, H heads, Q queries, L keys, K width of a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

# Elements of one block of logits in the CPU's backward: 2 MB of float32 stay in its cache.
_BLOCK = 1 << 19
# cuDNN's kernel, preferred on Hopper, has returned wrong gradients with a trained bias; flash has no bias at all.
_CUDA = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def attend(q_BHQK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, bias_BHQL: Tensor | None) -> Tensor:
    """Attention output x_BHQK; ``bias_BHQL`` (B may be 1; in q's dtype; -inf hides a key) gets its gradient too."""
    if bias_BHQL is not None:
        bias_BHQL = bias_BHQL.to(q_BHQK).expand(len(q_BHQK), -1, -1, -1) if q_BHQK.is_cuda else bias_BHQL.to(q_BHQK)
    if q_BHQK.is_cuda:
        with sdpa_kernel(_CUDA):
            return F.scaled_dot_product_attention(q_BHQK, k_BHLK, v_BHLK, attn_mask=bias_BHQL)
    return _CpuAttention.apply(q_BHQK, k_BHLK, v_BHLK, bias_BHQL)


class _CpuAttention(torch.autograd.Function):
    """Forward is PyTorch's fused kernel, which has no gradient for the bias; backward recomputes blocks of samples."""

    @staticmethod
    def forward(ctx, q, k, v, bias):
        ctx.save_for_backward(q, k, v, bias)
        q, k, v, bias = (x if x is None else x.detach() for x in (q, k, v, bias))
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=None if bias is None else bias.expand(len(q), -1, -1, -1)
        )

    @staticmethod
    def backward(ctx, d_out):
        q, k, v, bias = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        d_bias = torch.zeros_like(bias) if ctx.needs_input_grad[3] else None
        step = max(1, _BLOCK // (q.shape[1] * q.shape[2] * k.shape[2]))
        for start in range(0, len(q), step):
            part = slice(start, start + step)
            own_bias = bias if bias is None or len(bias) == 1 else bias[part]
            dq[part], dk[part], dv[part], ds = _block_gradients(q[part], k[part], v[part], own_bias, d_out[part])
            if d_bias is not None and len(d_bias) == 1:
                d_bias += ds.sum(0, keepdim=True)
            elif d_bias is not None:
                d_bias[part] = ds
        return dq, dk, dv, d_bias


def _block_gradients(q, k, v, bias, d_out) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v and of the logits."""
    scale = q.shape[-1] ** -0.5
    logits = (q @ k.transpose(-1, -2)).mul_(scale)
    if bias is not None:
        logits += bias
    weights = logits.softmax(-1, dtype=torch.promote_types(q.dtype, torch.float32))
    dv = weights.to(q).transpose(-1, -2) @ d_out
    d_weights = (d_out @ v.transpose(-1, -2)).to(weights)
    ds = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype).to(q)
    return (ds @ k).mul_(scale), (ds.transpose(-1, -2) @ q).mul_(scale), dv, ds
