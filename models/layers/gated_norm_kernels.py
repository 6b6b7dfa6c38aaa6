"""The kernels of `gated_norm`, in Triton: a program reads whole rows, which stay in its registers.

Triton's blocks are powers of two, so a row is two of them: 6,144 = 4,096 + 2,048, where a single block would leave a
quarter of the threads idle. Legend: N rows, F width, P programs.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


def forward(a_NF: Tensor, b_NF: Tensor, weight_F: Tensor, bias_F: Tensor, eps: float) -> tuple[Tensor, Any]:
    """LayerNorm(gelu(a) * b), and for `backward` each row's mean and 1 / standard deviation, in float32."""
    a_NF, b_NF = a_NF.contiguous(), b_NF.contiguous()
    rows, width = a_NF.shape
    h_NF = torch.empty_like(a_NF)
    mean_N, rstd_N = (torch.empty(rows, dtype=torch.float32, device=a_NF.device) for _ in range(2))
    with torch.cuda.device_of(a_NF):
        _forward[(rows,)](
            a_NF, b_NF, weight_F, bias_F, h_NF, mean_N, rstd_N, width, eps, **_blocks(width, warps=8)
        )  # fmt: skip
    return h_NF, (mean_N, rstd_N)


def backward(
    dh_NF: Tensor, mean_N: Tensor, rstd_N: Tensor, a_NF: Tensor, b_NF: Tensor, weight_F: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of a, b, weight and bias."""
    dh_NF, a_NF, b_NF = dh_NF.contiguous(), a_NF.contiguous(), b_NF.contiguous()
    rows, width = a_NF.shape
    programs = min(rows, 2 * _processors(a_NF.device))
    da_NF, db_NF = torch.empty_like(a_NF), torch.empty_like(b_NF)
    d_weight_PF, d_bias_PF = torch.empty(2, programs, width, dtype=torch.float32, device=a_NF.device)
    with torch.cuda.device_of(a_NF):
        _backward[(programs,)](
            dh_NF, a_NF, b_NF, weight_F, mean_N, rstd_N, da_NF, db_NF, d_weight_PF, d_bias_PF, rows, width,
            **_blocks(width, warps=16),
        )  # fmt: skip
    return da_NF, db_NF, d_weight_PF.sum(0).to(weight_F), d_bias_PF.sum(0).to(weight_F)


def _blocks(width: int, warps: int) -> dict[str, int]:
    """The two blocks of a row, and how many warps share it: at most ``warps``, fewer for short rows."""
    first = 1 << (max(width - 1, 1).bit_length() - 1)  # the largest power of two below the width
    return {
        "FIRST": first,
        "SECOND": triton.next_power_of_2(max(width - first, 1)),
        "num_warps": min(warps, max(1, first // 256)),
    }


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


@triton.jit
def _load(pointer, at, real):
    return tl.load(pointer + at, mask=real, other=0).to(tl.float32)


@triton.jit
def _share(a):
    """The share of a in gelu(a)."""
    return 0.5 + 0.5 * tl.math.erf(a * 0.7071067811865476)


@triton.jit
def _gated(a_ptr, b_ptr, at, real):
    a = _load(a_ptr, at, real)
    return a * _share(a) * _load(b_ptr, at, real)


@triton.jit
def _store_normed(h_ptr, weight_ptr, bias_ptr, start, at, real, normed):
    tl.store(h_ptr + start + at, normed * _load(weight_ptr, at, real) + _load(bias_ptr, at, real), mask=real)


@triton.jit
def _forward(
    a_ptr, b_ptr, weight_ptr, bias_ptr, h_ptr, mean_ptr, rstd_ptr, width, eps,
    FIRST: tl.constexpr, SECOND: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    start = row.to(tl.int64) * width
    at1, at2 = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    real1, real2 = at1 < width, at2 < width
    gated1, gated2 = _gated(a_ptr, b_ptr, start + at1, real1), _gated(a_ptr, b_ptr, start + at2, real2)
    mean = (tl.sum(gated1, 0) + tl.sum(gated2, 0)) / width
    centred1, centred2 = tl.where(real1, gated1 - mean, 0), tl.where(real2, gated2 - mean, 0)
    variance = (tl.sum(centred1 * centred1, 0) + tl.sum(centred2 * centred2, 0)) / width
    rstd = 1 / tl.sqrt(variance + eps)
    _store_normed(h_ptr, weight_ptr, bias_ptr, start, at1, real1, centred1 * rstd)
    _store_normed(h_ptr, weight_ptr, bias_ptr, start, at2, real2, centred2 * rstd)
    tl.store(mean_ptr + row, mean)
    tl.store(rstd_ptr + row, rstd)


@triton.jit
def _read(dh_ptr, a_ptr, b_ptr, at, real, mean, rstd):
    """dh, a, b, the share of a in gelu(a), and the normed gated values."""
    dh, a, b = _load(dh_ptr, at, real), _load(a_ptr, at, real), _load(b_ptr, at, real)
    share = _share(a)
    return dh, a, b, share, tl.where(real, (a * share * b - mean) * rstd, 0)


@triton.jit
def _store_gradients(da_ptr, db_ptr, at, real, a, b, share, d_gated):
    slope = share + a * tl.exp(-0.5 * a * a) * 0.3989422804014327  # of gelu
    tl.store(da_ptr + at, d_gated * b * slope, mask=real)
    tl.store(db_ptr + at, d_gated * a * share, mask=real)


@triton.jit
def _backward(
    dh_ptr, a_ptr, b_ptr, weight_ptr, mean_ptr, rstd_ptr, da_ptr, db_ptr, d_weight_ptr, d_bias_ptr, rows, width,
    FIRST: tl.constexpr, SECOND: tl.constexpr,
):  # fmt: skip
    """Each program takes every P-th row and sums what these give to the norm's parameters."""
    program = tl.program_id(0)
    at1, at2 = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    real1, real2 = at1 < width, at2 < width
    weight1, weight2 = _load(weight_ptr, at1, real1), _load(weight_ptr, at2, real2)
    d_weight1, d_bias1 = tl.zeros((FIRST,), tl.float32), tl.zeros((FIRST,), tl.float32)
    d_weight2, d_bias2 = tl.zeros((SECOND,), tl.float32), tl.zeros((SECOND,), tl.float32)
    row = program
    while row < rows:  # Triton's interpreter, which tests run, knows no range of its own values
        start = row.to(tl.int64) * width
        mean, rstd = tl.load(mean_ptr + row), tl.load(rstd_ptr + row)
        dh1, a1, b1, share1, normed1 = _read(dh_ptr, a_ptr, b_ptr, start + at1, real1, mean, rstd)
        dh2, a2, b2, share2, normed2 = _read(dh_ptr, a_ptr, b_ptr, start + at2, real2, mean, rstd)
        d_weight1 += dh1 * normed1
        d_weight2 += dh2 * normed2
        d_bias1 += dh1
        d_bias2 += dh2
        dh1 *= weight1
        dh2 *= weight2
        level = (tl.sum(dh1, 0) + tl.sum(dh2, 0)) / width
        along = (tl.sum(dh1 * normed1, 0) + tl.sum(dh2 * normed2, 0)) / width
        d_gated1, d_gated2 = (dh1 - level - normed1 * along) * rstd, (dh2 - level - normed2 * along) * rstd
        _store_gradients(da_ptr, db_ptr, start + at1, real1, a1, b1, share1, d_gated1)
        _store_gradients(da_ptr, db_ptr, start + at2, real2, a2, b2, share2, d_gated2)
        row += tl.num_programs(0)
    tl.store(d_weight_ptr + program * width + at1, d_weight1, mask=real1)
    tl.store(d_weight_ptr + program * width + at2, d_weight2, mask=real2)
    tl.store(d_bias_ptr + program * width + at1, d_bias1, mask=real1)
    tl.store(d_bias_ptr + program * width + at2, d_bias2, mask=real2)
