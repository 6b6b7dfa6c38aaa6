"""A modality's feed-forward network: GeGLU, norm, projection (paper, section 3.1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from .gated_norm import GatedNorm
from .linears import LAYER_NORM_EPS, LayerNorm, linears


class GeGLU(nn.Module):
    """gelu(wi_0 x) * (wi_1 x), exact (erf) GELU, no biases (Shazeer 2020)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.wi_0 = nn.Linear(dim, hidden, bias=False)
        self.wi_1 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.wi_0(x)) * self.wi_1(x)


class FeedForward(nn.Sequential):
    """GeGLU -> dropout -> LayerNorm (when ``inner_norm``) -> Linear; indices are part of released parameter names."""

    def __init__(self, dim: int, hidden: int, *, dropout: float, inner_norm: bool):
        norm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS) if inner_norm else nn.Identity()
        super().__init__(GeGLU(dim, hidden), nn.Dropout(dropout), norm, nn.Linear(hidden, dim))

    def normed(self, x_ND: Tensor, norm: nn.LayerNorm, gamma_D: Tensor | None) -> Tensor:
        """``gamma_D * self(norm(x_ND))``, keeping for backward only x and the two products inside."""
        glu, dropout, inner, out = self
        a_NF, b_NF = linears(LayerNorm, [x_ND, *norm.parameters()], [glu.wi_0, glu.wi_1])
        if self.training and dropout.p > 0:
            return linears(LayerNorm, [dropout(F.gelu(a_NF) * b_NF), *inner.parameters()], [out], gamma_D)[0]
        return linears(GatedNorm, [a_NF, b_NF, *inner.parameters()], [out], gamma_D)[0]
