"""Multi-head self-attention with an additive bias (paper, section 3.1).

Legend: B batch, L sequence, N rows without padding, D width, H heads, K = D / H width of a head.
"""

import torch
from torch import Tensor, nn

from .packing import Packing

LAYER_NORM_EPS = 1e-5


def at_least_float32(x: Tensor) -> torch.dtype:
    """float32 for half precisions, the tensor's own dtype otherwise."""
    return torch.promote_types(x.dtype, torch.float32)


class SelfAttention(nn.Module):
    """Queries, values and the output have biases, keys have none; softmax in float32 at least.

    Args:
        dim: D.
        heads: H.
        dropout: on the attention weights.
        scale_heads: learned factor per head (``c_attn``).
        inner_norm: LayerNorm ``ln`` between the attention output and ``out_proj`` (Magneto, Wang et al. 2022).
    """

    def __init__(self, dim: int, heads: int, *, dropout: float, scale_heads: bool, inner_norm: bool):
        super().__init__()
        if dim % heads:
            raise ValueError(f"embed_dim={dim} is not a multiple of attention_heads={heads}")
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.dropout = nn.Dropout(dropout)
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)
        self.c_attn = nn.Parameter(torch.ones(heads)) if scale_heads else None
        self.ln = nn.LayerNorm(dim, eps=LAYER_NORM_EPS) if inner_norm else None

    def forward(self, x_ND: Tensor, bias_BHLL: Tensor | None, packing: Packing) -> Tensor:
        """``bias_BHLL`` is added to the logits (B may be 1); -inf where a key must not be seen."""
        q_BHLK = self._heads(packing.pad(self.q_proj(x_ND) * self.scale))
        k_BHLK, v_BHLK = self._heads(packing.pad(self.k_proj(x_ND))), self._heads(packing.pad(self.v_proj(x_ND)))
        logits_BHLL = q_BHLK @ k_BHLK.transpose(-1, -2)
        if bias_BHLL is not None:
            logits_BHLL = logits_BHLL + bias_BHLL
        weights_BHLL = logits_BHLL.softmax(dim=-1, dtype=at_least_float32(logits_BHLL)).to(v_BHLK)
        out_BHLK = self.dropout(weights_BHLL) @ v_BHLK
        if self.c_attn is not None:
            out_BHLK = out_BHLK * self.c_attn[:, None, None]
        out_ND = packing.pack(out_BHLK.transpose(1, 2).flatten(2))
        if self.ln is not None:
            out_ND = self.ln(out_ND)
        return self.out_proj(out_ND)

    def _heads(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(-1, (self.heads, -1)).transpose(1, 2)
