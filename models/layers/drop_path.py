"""Stochastic depth (Huang et al. 2016)."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, drops a residual branch per sample with ``rate`` and scales the kept ones by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def draw(self, samples: int, like: Tensor) -> Tensor | None:
        """The factor of each sample's branch, 0 or 1 / (1 - rate); None when nothing is dropped."""
        if not self.training or self.rate == 0:
            return None
        keep = torch.empty(samples, dtype=like.dtype, device=like.device).bernoulli_(1 - self.rate)
        return keep / (1 - self.rate)
