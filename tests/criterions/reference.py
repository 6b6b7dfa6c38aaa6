"""The objectives' plain formulas, a loop over rows, and a counter of the memory an objective takes."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def unit(rows: int, seed: int, width: int = 6) -> Tensor:
    """Unit-norm rows, Tensor[rows, width] in float64, that require a gradient."""
    x = torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (x / x.norm(dim=-1, keepdim=True)).requires_grad_()


def slow_row(logits: Tensor, target: int, eps: float) -> Tensor:
    """Cross entropy of one row: true class 1 - eps, the others eps / (C - 1) each; 0 if there is one class only."""
    if len(logits) == 1:
        return logits[0] * 0
    logp = logits - logits.logsumexp(0)
    return -sum((1 - eps if c == target else eps / (len(logits) - 1)) * logp[c] for c in range(len(logits)))


def slow_contrast(rows: Tensor, keys: Tensor, target: Tensor, scale: Tensor | float, eps: float) -> Tensor:
    """Mean of `slow_row` over rows, from the whole logits matrix."""
    logits = scale * rows @ keys.T
    return sum(slow_row(row, int(t), eps) for row, t in zip(logits, target, strict=True)) / len(rows)


class PeakBytes(TorchDispatchMode):
    """``peak``: the most bytes that lived at once among the tensors allocated under this mode, saved ones included."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {x.untyped_storage()._cdata for x in (*args, *(kwargs or {}).values()) if isinstance(x, Tensor)}
        for x in out if isinstance(out, tuple | list) else [out]:
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in known:
                self.allocated(x.untyped_storage())
        return out

    def allocated(self, storage: torch.UntypedStorage) -> None:
        """Count a new storage until it is freed."""
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self.freed, storage.nbytes())

    def freed(self, count: int) -> None:
        """A storage is gone."""
        self.live -= count
