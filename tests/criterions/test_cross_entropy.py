"""Rows against keys, a chunk at a time, against the plain formula: values, gradients, counts, memory."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses import FakeTensorMode

from one_peace.criterions import cross_entropy, label_smoothed_cross_entropy
from one_peace.criterions.cross_entropy import contrast
from tests.criterions.reference import PeakBytes, slow_contrast, unit

GiB = 2**30


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", 11)


def test_label_smoothing_spreads_over_the_other_classes() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    p = logits.softmax(1)[0]
    expected = -(0.8 * math.log(p[0]) + 0.1 * math.log(p[1]) + 0.1 * math.log(p[2]))
    assert label_smoothed_cross_entropy(logits, torch.tensor([0]), 0.2).item() == pytest.approx(expected)


@given(
    rows=st.integers(1, 9),
    keys=st.integers(1, 9),
    chunk=st.integers(1, 99),
    eps=st.sampled_from([0.0, 0.1]),
    needs=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 99),
)
def test_contrast_is_the_plain_formula(
    rows: int, keys: int, chunk: int, eps: float, needs: tuple[bool, bool, bool], seed: int
) -> None:
    inputs = [unit(rows, seed), unit(keys, seed + 1), torch.tensor(3.0, dtype=torch.float64)]
    inputs = [x.detach().requires_grad_(need) for x, need in zip(inputs, needs, strict=True)]
    row, key, scale = inputs
    target = torch.randint(keys, (rows,), generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_entropy, "CHUNK_LOGITS", chunk)
        loss, correct = contrast(row, key, target, scale, eps)
    slow = slow_contrast(row, key, target, scale, eps)
    torch.testing.assert_close(loss, slow)
    torch.testing.assert_close(label_smoothed_cross_entropy(scale * row @ key.T, target, eps), slow)
    assert int(correct) == int(((row @ key.T).argmax(1) == target).sum())
    assert loss.requires_grad == any(needs) and not correct.requires_grad
    wanted = [x for x in inputs if x.requires_grad]
    if wanted:
        ours, reference = torch.autograd.grad(7 * loss, wanted), torch.autograd.grad(7 * slow, wanted)
        for x, y in zip(ours, reference, strict=True):
            torch.testing.assert_close(x, y)


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_gradcheck(small_chunks: None, eps: float) -> None:
    target = torch.tensor([0, 3, 3, 1, 2])
    inputs = (unit(5, 0), unit(4, 1), torch.tensor(2.0, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(lambda *x: contrast(*x[:2], target, x[2], eps)[0], inputs)


def test_a_graph_kept_gives_the_same_gradient_twice() -> None:
    row = unit(4, 0)
    loss, _ = contrast(row, unit(4, 1).detach(), torch.arange(4), 3.0)
    first, second = (torch.autograd.grad(loss, row, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_ties_count_for_the_first_key() -> None:
    row = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert int(contrast(row, row, torch.arange(2), 2.0)[1]) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_wide(small_chunks: None, dtype: torch.dtype) -> None:
    """Far below half precision's own error: what remains is the rounding of similarities and of single products."""
    row, key = (unit(40, seed).detach().to(dtype).requires_grad_() for seed in (0, 1))
    scale = torch.tensor(4.0, requires_grad=True)
    loss, _ = contrast(row, key, torch.arange(40), scale, 0.1)
    wide = [x.detach().double().requires_grad_() for x in (row, key, scale)]
    slow = slow_contrast(*wide[:2], torch.arange(40), wide[2], 0.1)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), slow, rtol=torch.finfo(dtype).eps / 4, atol=0)
    ours, reference = torch.autograd.grad(loss, [row, key, scale]), torch.autograd.grad(slow, wide)
    for x, y, like in zip(ours, reference, (row, key, scale), strict=True):
        assert x.dtype == like.dtype
        torch.testing.assert_close(x.double(), y, rtol=0, atol=float(2 * torch.finfo(dtype).eps * y.abs().max()))


def test_small_gradients_survive_float16() -> None:
    """The mean over many rows underflows float16 unless it is taken together with the loss scale."""
    row, key = (unit(2000, seed, 16).detach().half().requires_grad_() for seed in (0, 1))
    loss, _ = contrast(row, key.detach(), torch.arange(2000), 0.01)
    wide = row.detach().double().requires_grad_()
    slow = label_smoothed_cross_entropy(0.01 * wide @ key.detach().double().T, torch.arange(2000), 0.0)
    (ours,), (reference,) = torch.autograd.grad(2**14 * loss, row), torch.autograd.grad(2**14 * slow, wide)
    torch.testing.assert_close(ours.double(), reference, rtol=1e-2, atol=2e-3 * float(reference.abs().max()))


def test_autocast_multiplies_in_its_dtype() -> None:
    row, key = unit(5, 0).detach().float().requires_grad_(), unit(5, 1).detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = contrast(row, key, torch.arange(5), 3.0)
    rounded, _ = contrast(row.bfloat16(), key.bfloat16(), torch.arange(5), 3.0)
    assert loss == rounded != contrast(row, key, torch.arange(5), 3.0)[0]
    assert torch.autograd.grad(loss, row)[0].dtype == torch.float32


# -- memory: fake tensors have sizes but no numbers, and refuse to be read by the host --------------------------------


def peak_bytes(rows: int, keys: int, plain: bool = False, width: int = 1536) -> int:
    """Most bytes alive at once in a training step of a contrast, its inputs not counted."""
    with FakeTensorMode():
        row, key = torch.empty(rows, width, requires_grad=True), torch.empty(keys, width)
        target, scale = torch.arange(rows), torch.empty((), requires_grad=True)
        with PeakBytes() as count:
            if plain:
                loss = label_smoothed_cross_entropy(scale * row @ key.T, target, 0.1)
            else:
                loss, _ = contrast(row, key, target, scale, 0.1)
            loss.backward()
    return count.peak


def test_the_counter_counts() -> None:
    """The plain formula holds all logits, their log-probabilities and their gradient."""
    assert 3 * 4 * 4096 * 32768 < peak_bytes(4096, 32768, plain=True) < 4 * 4 * 4096 * 32768


def test_memory_is_bounded_for_any_number_of_keys() -> None:
    rows_bytes, chunk_bytes = 4 * 4096 * 1536, 4 * cross_entropy.CHUNK_LOGITS
    for keys in (4096, 32768, 262144):
        assert peak_bytes(4096, keys) < 4 * chunk_bytes + 3 * rows_bytes < GiB / 2


def test_real_tensors_take_as_much_as_fake_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", 2**12)
    row, key = torch.randn(128, 16, requires_grad=True), torch.randn(256, 16)
    scale = torch.tensor(2.0, requires_grad=True)
    with PeakBytes() as count:
        contrast(row, key, torch.arange(128), scale, 0.1)[0].backward()
    assert peak_bytes(128, 256, width=16) <= count.peak < 4 * 4 * 2**12 + 3 * 4 * 128 * 16 + 1024 + 4096
    assert count.peak < 4 * 128 * 256
