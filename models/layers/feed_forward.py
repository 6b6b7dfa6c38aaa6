"""A modality's feed-forward network: GeGLU, norm, projection (paper, section 3.1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import LAYER_NORM_EPS


class GeGLU(nn.Module):
    """gelu(wi_0 x) * (wi_1 x), exact (erf) GELU, no biases (Shazeer 2020)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.wi_0 = nn.Linear(dim, hidden, bias=False)
        self.wi_1 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.wi_0(x)) * self.wi_1(x)


def feed_forward(dim: int, hidden: int, *, dropout: float, inner_norm: bool) -> nn.Sequential:
    """GeGLU -> dropout -> LayerNorm (when ``inner_norm``) -> Linear; indices are part of released parameter names."""
    norm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS) if inner_norm else nn.Identity()
    return nn.Sequential(GeGLU(dim, hidden), nn.Dropout(dropout), norm, nn.Linear(hidden, dim))
