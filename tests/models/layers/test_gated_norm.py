"""The fused kernels against the plain formula: interpreted by Triton on the CPU, compiled on a GPU."""

import itertools

import pytest
import torch

from one_peace.benchmarks.machine import in_fresh_process
from one_peace.models.layers import gated_norm
from one_peace.models.layers.gated_norm import GatedNorm
from one_peace.models.layers.linears import LAYER_NORM_EPS

SHAPES = [(1, 1), (5, 100), (3, 512), (2, 513), (2, 6144)]  # rows, width
TOLERANCES = {torch.float32: 1e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}


def errors(device: str, rows: int, width: int, dtype: torch.dtype) -> list[float]:
    """Of h and the gradients of a, b, weight and bias: the norm of the difference over 1 + that of the reference."""
    torch.manual_seed(0)
    a, b, dh = (torch.randn(width, rows, device=device).to(dtype).T for _ in range(3))  # no kernel's favourite layout
    weight, bias = (torch.randn(width, device=device).to(dtype) for _ in range(2))
    h, saved = gated_norm.kernels().forward(a, b, weight, bias, LAYER_NORM_EPS)
    found = [h, *gated_norm.kernels().backward(dh, *saved, a, b, weight)]
    assert all(x.dtype == dtype for x in found)
    a, b, dh, weight, bias = (x.double() for x in (a, b, dh, weight, bias))
    norm = [weight.requires_grad_(), bias.requires_grad_()]
    with torch.no_grad():  # as within autograd's own backward
        h, saved = GatedNorm.forward(a, b, *norm)
        expected = [h, *GatedNorm.backward(dh, saved, a, b, *norm)]
    return [float((x - y).norm() / (1 + y.norm())) for x, y in zip(found, expected, strict=True)]


def errors_of_all(device: str) -> dict[tuple, list[float]]:
    cases = itertools.product(SHAPES, TOLERANCES)
    return {(*shape, dtype): errors(device, *shape, dtype) for shape, dtype in cases}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_kernels_are_the_plain_formula(device: str, monkeypatch) -> None:
    pytest.importorskip("triton")
    if device == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")  # which Triton reads when it is imported
        found = in_fresh_process(errors_of_all, "cpu")
    elif torch.cuda.is_available():
        found = errors_of_all("cuda")
    else:
        pytest.skip("needs a GPU")
    assert len(found) == len(SHAPES) * len(TOLERANCES)
    for case, own in found.items():
        assert max(own) <= TOLERANCES[case[-1]], case


def test_without_a_compiler_nothing_is_fused(monkeypatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(gated_norm, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    assert not gated_norm.can_compile.__wrapped__()
    monkeypatch.setenv("CC", "cc")
    assert gated_norm.can_compile.__wrapped__()
