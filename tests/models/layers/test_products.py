"""Both libraries' products against float64, and when which is asked."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from one_peace.models.layers import products

ONEDNN = torch.ops.mkldnn._linear_pointwise.default
ENOUGH = (256, 192, 512)  # rows, inputs and outputs
needs_both = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()), reason="needs MKL and oneDNN"
)


class Recorder(TorchDispatchMode):
    """The operators that are called."""

    def __init__(self):
        super().__init__()
        self.called = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.called.append(function)
        return function(*args, **kwargs or {})


@pytest.fixture
def processor(monkeypatch):
    """Sets the processor's name."""
    products._faster.cache_clear()
    yield lambda name: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    products._faster.cache_clear()


def libraries_used(rows: int, inputs: int, outputs: int, dtype: torch.dtype = torch.float32) -> list[bool]:
    """Whether oneDNN makes the outputs, the gradient of x and that of the weight."""
    x, weight, grad = (torch.ones(shape, dtype=dtype) for shape in ((rows, inputs), (outputs, inputs), (rows, outputs)))
    used = []
    for run in (
        lambda: products.linear(x, weight),
        lambda: products.linear_input_gradient([grad, grad], [weight, weight]),
        lambda: products.linear_weight_gradient(grad, x),
    ):
        with Recorder() as recorder:
            run()
        used.append(ONEDNN in recorder.called)
    return used


@needs_both
def test_onednn_multiplies_where_mkl_is_not_at_home(processor) -> None:
    processor("AMD EPYC")
    assert libraries_used(*ENOUGH) == [True, True, False]
    assert libraries_used(256, 512, 192) == [True, True, True]  # of the weight's gradient the wide factor is not copied
    assert libraries_used(16, 4096, 1024) == [False, False, True]  # few rows
    assert libraries_used(256, 64, 64) == [False] * 3  # little to do
    assert libraries_used(*ENOUGH, torch.float64) == [False] * 3


@pytest.mark.parametrize("name", ["Intel Xeon", None])
def test_mkl_multiplies_on_its_own_processors_and_unknown_ones(processor, monkeypatch, name: str | None) -> None:
    processor(name)
    if name is None:  # torch < 2.10
        monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert libraries_used(*ENOUGH) == [False] * 3


@needs_both
@pytest.mark.parametrize("onednn", [True, False])
@given(
    rows=st.integers(0, 40),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    bias=st.booleans(),
    strided=st.booleans(),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=60, deadline=None)
def test_products_are_right(onednn: bool, rows: int, inputs: int, outputs: int, bias: bool, strided: bool, seed: int):
    generator = torch.Generator().manual_seed(seed)

    def matrix(height: int, width: int) -> torch.Tensor:
        if strided:  # columns of something wider, the other way round
            return torch.randn(2 * width, height + 3, generator=generator)[::2, 3:].T
        return torch.randn(height, width, generator=generator)

    x, weight, grad = matrix(rows, inputs), matrix(outputs, inputs), matrix(rows, outputs)
    b = torch.randn(outputs, generator=generator) if bias else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_faster", lambda: onednn)
        patch.setattr(products, "_LEAST_ROWS", 1)
        patch.setattr(products, "_LEAST_PRODUCTS", 1)
        found = [
            products.linear(x, weight, b),
            products.linear_input_gradient([grad, x], [weight, torch.eye(inputs)]),
            products.linear_weight_gradient(grad, x),
        ]
    x, weight, grad, b = (None if m is None else m.double() for m in (x, weight, grad, b))
    for y, expected in zip(found, [x @ weight.T + (0 if b is None else b), grad @ weight + x, grad.T @ x], strict=True):
        assert y.shape == expected.shape and torch.allclose(y.double(), expected, atol=1e-4)
