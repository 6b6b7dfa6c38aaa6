"""The hand-written gradients of the hot path, against autograd."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from one_peace.models.layers import attend as attend_module
from one_peace.models.layers import linears as linears_module
from one_peace.models.layers.attend import attend, merge_heads, split_heads
from one_peace.models.layers.linears import LAYER_NORM_EPS, LayerNorm, linears
from one_peace.models.layers.packing import Extent, Packing

CPU = torch.device("cpu")


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("rows", [4, 9])  # fewer than columns: gamma scales outputs; more: it scales the weight
@pytest.mark.parametrize("with_gamma", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("block", [2, 2048])
def test_linears_have_the_gradients_of_the_plain_formula(
    with_gamma: bool, bias: bool, rows: int, block: int, monkeypatch
) -> None:
    monkeypatch.setattr(linears_module, "_BLOCK", block)
    torch.manual_seed(0)
    maps = [nn.Linear(5, 3, bias=bias).double() for _ in range(1 if with_gamma else 2)]
    x, weight, shift = randn(rows, 5), randn(5), randn(5)
    gamma = randn(3) if with_gamma else None
    leaves = [x, weight, shift, *(p for m in maps for p in m.parameters()), *([gamma] if with_gamma else [])]

    def plain() -> list[torch.Tensor]:
        h = torch.nn.functional.layer_norm(x, weight.shape, weight, shift, LAYER_NORM_EPS)
        return [m(h) if gamma is None else gamma * m(h) for m in maps]

    ours, theirs = linears(LayerNorm, [x, weight, shift], maps, gamma), plain()
    with torch.no_grad():
        for mine, other in zip(linears(LayerNorm, [x, weight, shift], maps, gamma), theirs, strict=True):
            torch.testing.assert_close(mine, other)
    grads = [torch.randn_like(y) for y in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    found = torch.autograd.grad(ours, leaves, grads)
    for mine, other in zip(found, torch.autograd.grad(theirs, leaves, grads), strict=True):
        torch.testing.assert_close(mine, other)
        assert mine.is_contiguous()  # autograd copies others before they become a parameter's


def test_a_small_gamma_leaves_something_in_float16() -> None:
    """As the released model starts: 1e-6 times a weight of 0.02 is 0 in float16, times an output it is not."""
    layer, gamma = nn.Linear(4, 3, bias=False).half(), torch.full((3,), 1e-6, dtype=torch.float16)
    nn.init.constant_(layer.weight, 0.02)
    (y,) = linears(LayerNorm, [torch.full((9, 4), 30.0, dtype=torch.float16)], [layer], gamma)
    assert y.all() and not (gamma[:, None] * layer.weight).any()


def test_linears_give_no_gradient_to_what_is_frozen_and_keep_nothing_but_their_sources() -> None:
    layer, x = nn.Linear(5, 50).double().requires_grad_(False), randn(4, 5)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        (y,) = linears(LayerNorm, [x], [layer])
    assert {t.data_ptr() for t in saved if t is not None} == {x.data_ptr(), layer.weight.data_ptr()}
    y.sum().backward()
    assert x.grad is not None and layer.weight.grad is None


def test_linears_hold_what_comes_before_for_a_block_of_rows_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr(linears_module, "_BLOCK", 4)
    rows = []

    class Recorder(LayerNorm):
        @staticmethod
        def forward(x, *norm):
            rows.append(len(x))
            return LayerNorm.forward(x, *norm)

    x, layer = randn(10, 5), nn.Linear(5, 3).double()
    (y,) = linears(Recorder, [x, randn(5), randn(5)], [layer])
    y.sum().backward()
    assert rows == [4, 4, 2] * 2
    rows.clear()
    linears(Recorder, [x.bfloat16()], [layer.bfloat16()])  # whose sums of blocks would lose digits
    assert rows == [10]


@given(rows=st.integers(0, 20_000))
def test_blocks_are_as_few_as_can_be_and_of_one_size(rows: int) -> None:
    row_N1 = torch.arange(rows, dtype=torch.float32)[:, None]
    parts = [row_N1[block] for block in linears_module._blocks(row_N1)]
    assert torch.equal(torch.cat(parts), row_N1)
    assert len(parts) == max(1, math.ceil(rows / linears_module._BLOCK))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) < len(parts)


@pytest.fixture
def padded() -> Packing:
    """Two passes: one modality padded; two modalities, one of them padded."""
    real = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
    one = [Extent("a", 2, 3, CPU, real)]
    return Packing([one, [Extent("a", 2, 3, CPU, real), Extent("b", 2, 2, CPU)]])


def test_rows_and_rectangles_are_adjoint(padded: Packing) -> None:
    assert padded.modalities == [("a", 10), ("b", 4)]
    assert padded.sample_N.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 2, 2, 3, 3]
    x = randn(14, 6)
    assert torch.equal(padded.rows(padded.rectangles(x)), x)
    assert torch.autograd.gradcheck(lambda x: tuple(padded.rectangles(x)), (x,))
    rectangles = [r.detach().requires_grad_() for r in padded.rectangles(x)]
    assert rectangles[0].shape == (2, 3, 6) and not rectangles[0][1, 2].any()
    assert torch.autograd.gradcheck(lambda *r: padded.rows(list(r)), tuple(rectangles))


@pytest.mark.parametrize("bias_heads", [1, 2])
@pytest.mark.parametrize("own_bias", [False, True])
@pytest.mark.parametrize("block", [1, 18, 1 << 19])
def test_attention_has_the_gradients_of_the_plain_formula(padded, own_bias, bias_heads, block, monkeypatch) -> None:
    """Bias shared by batch and heads or not; all at once, a sample at a time, or a head; padded keys hidden."""
    monkeypatch.setattr(attend_module, "_BLOCK", block)
    torch.manual_seed(0)
    q, k, v = randn(14, 6), randn(14, 6), randn(14, 6)
    tables = [randn(2 if own_bias else 1, bias_heads, n, n) for n in (3, 5)]
    hidden = [torch.tensor([[0, 0, 0], [0, 0, 1]]), torch.tensor([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0]])]
    biases = [t.masked_fill(h[:, None, None].bool(), -torch.inf) for t, h in zip(tables, hidden, strict=True)]

    def plain() -> torch.Tensor:
        outputs = []
        for i, bias in enumerate(biases):
            qi, ki, vi = (split_heads(padded.rectangles(x)[i], 2) for x in (q, k, v))
            outputs.append(merge_heads((qi @ ki.mT * 3**-0.5 + bias).softmax(-1) @ vi))
        return padded.rows(outputs)

    ours, theirs = attend(q, k, v, 2, padded, padded, biases), plain()
    torch.testing.assert_close(ours, theirs)
    grad, leaves = torch.randn_like(ours), [q, k, v, *tables]
    found = torch.autograd.grad(ours, leaves, grad, retain_graph=True)
    for mine, other in zip(found, torch.autograd.grad(theirs, leaves, grad), strict=True):
        torch.testing.assert_close(mine, other)


def test_attention_keeps_no_weights() -> None:
    rows = Packing([[Extent("a", 2, 100, CPU)]])
    q, k, v = (torch.randn(200, 8, requires_grad=True) for _ in range(3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        attend(q, k, v, 2, rows, rows, [None])
    assert sum(kept) <= 3 * q.numel()
