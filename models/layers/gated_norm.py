"""LayerNorm of gelu(a) * b, the inside of a feed-forward network, and its gradients: on a GPU one kernel each.

Written out they take seven and twenty passes over memory, a fifth of a training step of the 4B model; here three and
five. All is computed in float32, whatever the precision of the tensors. Legend: N rows, F width.
"""

import functools
import os
from importlib.util import find_spec
from shutil import which
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .linears import LAYER_NORM_EPS, LayerNorm

_LEAST = 1 << 20  # elements from which on a kernel's start is worth it


class GatedNorm:
    """What comes before a feed-forward network's last product (see `linears.Before`); without a norm just the gate."""

    @staticmethod
    def forward(a_NF: Tensor, b_NF: Tensor, *norm: Tensor) -> tuple[Tensor, Any]:
        if norm and fused(a_NF):
            return kernels().forward(a_NF, b_NF, *norm, LAYER_NORM_EPS)
        gated_NF = F.gelu(a_NF).mul_(b_NF)
        h_NF, saved = LayerNorm.forward(gated_NF, *norm)
        return h_NF, (gated_NF, saved)

    @staticmethod
    def backward(dh_NF: Tensor, saved: Any, a_NF: Tensor, b_NF: Tensor, *norm: Tensor) -> tuple[Tensor | None, ...]:
        if norm and fused(a_NF):
            return kernels().backward(dh_NF, *saved, a_NF, b_NF, norm[0])
        gated_NF, saved = saved
        d_gated_NF, *d_norm = LayerNorm.backward(dh_NF, saved, gated_NF, *norm)
        d_b_NF = torch.ops.aten.gelu.out(a_NF, out=gated_NF).mul_(d_gated_NF)
        d_gated_NF.mul_(b_NF)
        d_a_NF = torch.ops.aten.gelu_backward.grad_input(d_gated_NF, a_NF, grad_input=d_gated_NF)
        return d_a_NF, d_b_NF, *d_norm


def fused(x: Tensor) -> bool:
    """Whether ``x`` is one for the kernels; torch.compile makes its own."""
    if not x.is_cuda or torch.compiler.is_compiling():
        return False
    return x.numel() >= _LEAST and x.dtype != torch.float64 and can_compile()


@functools.cache
def can_compile() -> bool:
    """Triton comes with PyTorch for Linux; the C compiler that it calls may be missing."""
    return find_spec("triton") is not None and any(os.environ.get("CC") or which(name) for name in ("clang", "gcc"))


def kernels() -> ModuleType:
    """The kernels' module: it imports only where there is Triton."""
    from . import gated_norm_kernels

    return gated_norm_kernels
