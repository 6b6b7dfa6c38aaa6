"""Stochastic depth (Huang et al. 2016)."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, drops a residual branch per sample with ``rate`` and scales the kept ones by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x_BLD: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x_BLD
        keep_B11 = x_BLD.new_empty(x_BLD.shape[0], 1, 1).bernoulli_(1 - self.rate)
        return x_BLD * keep_B11 / (1 - self.rate)
