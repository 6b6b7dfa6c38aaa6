"""Stochastic depth (Huang et al. 2016)."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, drops a residual branch per sample with ``rate`` and scales the kept ones by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x_ND: Tensor, batch: int, sample_N: Tensor) -> Tensor:
        """``sample_N`` says which of ``batch`` samples each row belongs to."""
        if not self.training or self.rate == 0:
            return x_ND
        keep_B = x_ND.new_empty(batch).bernoulli_(1 - self.rate)
        return x_ND * (keep_B / (1 - self.rate))[sample_N, None]
