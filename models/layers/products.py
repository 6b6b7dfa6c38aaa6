"""Matrix products outside of autograd, by the faster library.

PyTorch's own float32 products on a CPU are MKL's, which is tuned for Intel's processors. On others oneDNN, which
PyTorch brings along for its compiler, is about a tenth faster (docs/performance.md).
Legend: N rows, D and E widths.
"""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST_ROWS = 128  # below, oneDNN's rearranging of the weights shows
_LEAST_PRODUCTS = 1 << 24  # below, its start does


def linear(x_ND: Tensor, weight_ED: Tensor, bias_E: Tensor | None = None) -> Tensor:
    """x W^T + b, Tensor[N, E]."""
    if not _by_onednn(x_ND, weight_ED):
        return F.linear(x_ND, weight_ED, bias_E)
    return torch.ops.mkldnn._linear_pointwise(x_ND, weight_ED, bias_E, "none", [], "")


def linear_input_gradient(grads_NE: Sequence[Tensor], weights_ED: Sequence[Tensor]) -> Tensor:
    """The sum of grad W over several maps of one x, Tensor[N, D]; their widths E may differ."""
    dx_ND = linear(grads_NE[0], weights_ED[0].T)
    for grad, weight in zip(grads_NE[1:], weights_ED[1:], strict=True):
        if _by_onednn(grad, weight.T):
            dx_ND += linear(grad, weight.T)
        else:
            dx_ND.addmm_(grad, weight)
    return dx_ND


def linear_weight_gradient(grad_NE: Tensor, x_ND: Tensor) -> Tensor:
    """grad^T x, Tensor[E, D]."""
    if grad_NE.shape[1] < x_ND.shape[1]:
        return linear(grad_NE.T, x_ND.T)
    return grad_NE.T @ x_ND  # oneDNN would lose its lead by copying the wide transposed factor


def _by_onednn(x_ND: Tensor, weight_ED: Tensor) -> bool:
    if x_ND.device.type != "cpu" or x_ND.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    rows, products = len(x_ND), x_ND.numel() * len(weight_ED)
    return rows >= _LEAST_ROWS and products >= _LEAST_PRODUCTS and _faster()


@functools.cache
def _faster() -> bool:
    """Whether oneDNN is there and the processor is not Intel's: the same on every run of a machine."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch < 2.10 cannot tell
    return "Intel" not in has.get("cpu_name", "Intel")
