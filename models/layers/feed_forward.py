"""A modality's feed-forward network: GeGLU, norm, projection (paper, section 3.1)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        return linears(_GatedNorm, [a_NF, b_NF, *inner.parameters()], [out], gamma_D)[0]


class _GatedNorm:
    """LayerNorm of gelu(a) * b."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, *norm: Tensor) -> tuple[Tensor, Any]:
        gated = F.gelu(a).mul_(b)
        h, saved = LayerNorm.forward(gated, *norm)
        return h, (gated, saved)

    @staticmethod
    def backward(dh: Tensor, saved: Any, a: Tensor, b: Tensor, *norm: Tensor) -> tuple[Tensor | None, ...]:
        gated, saved = saved
        d_gated, *d_norm = LayerNorm.backward(dh, saved, gated, *norm)
        d_b = F.gelu(a).mul_(d_gated)
        return torch.ops.aten.gelu_backward(d_gated.mul_(b), a), d_b, *d_norm
