"""Multi-head self-attention with an additive bias (paper, section 3.1).

Legend: B batch, L positions of a pass, N rows of all passes, D width, H heads, K = D / H width of a head.
"""

import torch
from torch import Tensor, nn

from .attend import attend, merge_heads, split_heads
from .linears import LAYER_NORM_EPS, LayerNorm, linears
from .packing import Chosen, Packing


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
        self.ln = nn.LayerNorm(dim, eps=LAYER_NORM_EPS) if inner_norm else nn.Identity()

    def forward(
        self,
        x_ND: Tensor,
        norm: nn.LayerNorm,
        biases: list[Tensor | None],
        keys: Packing,
        chosen: Chosen | None = None,
        gamma_D: Tensor | None = None,
    ) -> Tensor:
        """``norm`` comes before the projections, ``gamma_D`` scales the output, for all rows or the ``chosen`` ones.

        ``biases[i]``, Tensor[1 or B, H, queries, L], is added to the logits of pass i; -inf hides a key.
        """
        normed = list(norm.parameters())
        if chosen is None:
            queries = keys
            q_ND, k_ND, v_ND = linears(LayerNorm, [x_ND, *normed], [self.q_proj, self.k_proj, self.v_proj])
        else:
            queries = chosen.packing
            k_ND, v_ND = linears(LayerNorm, [x_ND, *normed], [self.k_proj, self.v_proj])
            (q_ND,) = linears(LayerNorm, [x_ND.index_select(0, chosen.row_M), *normed], [self.q_proj])
        attention = self._dropped if self.training and self.dropout.p > 0 else attend
        out_ND = attention(q_ND, k_ND, v_ND, self.heads, queries, keys, biases)
        if self.c_attn is not None:
            out_ND = (out_ND.unflatten(-1, (self.heads, -1)) * self.c_attn[:, None]).flatten(1)
        return linears(LayerNorm, [out_ND, *self.ln.parameters()], [self.out_proj], gamma_D)[0]

    def reference(self, x_BLD: Tensor, bias_BHLL: Tensor | None) -> Tensor:
        """The same on one pass, padding and all, as the paper writes it."""
        q, k, v = (split_heads(project(x_BLD), self.heads) for project in (self.q_proj, self.k_proj, self.v_proj))
        out_BHLK = self._plain(q, k, v, bias_BHLL)
        if self.c_attn is not None:
            out_BHLK = out_BHLK * self.c_attn[:, None, None]
        return self.out_proj(self.ln(merge_heads(out_BHLK)))

    def _dropped(self, q_ND, k_ND, v_ND, heads, queries: Packing, keys: Packing, biases) -> Tensor:
        """`attend` with dropout on the attention weights."""
        rectangles = (queries.rectangles(q_ND), keys.rectangles(k_ND), keys.rectangles(v_ND))
        split = [[split_heads(x, heads) for x in xs] for xs in rectangles]
        return queries.rows([merge_heads(self._plain(*part)) for part in zip(*split, biases, strict=True)])

    def _plain(self, q_BHLK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, bias_BHLL: Tensor | None) -> Tensor:
        logits_BHLL = q_BHLK * self.scale @ k_BHLK.transpose(-1, -2)
        if bias_BHLL is not None:
            logits_BHLL = logits_BHLL + bias_BHLL
        weights_BHLL = logits_BHLL.softmax(dim=-1, dtype=at_least_float32(logits_BHLL)).to(v_BHLK)
        return self.dropout(weights_BHLL) @ v_BHLK
