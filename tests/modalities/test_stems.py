"""Stems as matrix products, against the same as convolutions: outputs and every gradient."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from one_peace.benchmarks.machine import flops
from one_peace.modalities.audio import stem as audio_stem
from one_peace.modalities.audio.stem import ConvStem, _Layer
from one_peace.modalities.image.adapter import HmlpStem


def compare(stem, x: torch.Tensor) -> None:
    with torch.no_grad():
        for parameter in stem.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    results = []
    for forward in (stem.forward, stem.reference):
        stem.zero_grad()
        y = forward(x)
        torch.manual_seed(1)
        y.backward(torch.randn_like(y))
        results.append([y.detach(), *(p.grad for p in stem.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        [(8, 10, 5), (8, 3, 2), (8, 2, 2)],
        [(4, 7, 3), (6, 5, 2)],
        [(4, 7, 3), (6, 5, 3)],
        [(4, 3, 4), (6, 2, 3)],
        [(4, 5, 5)],
    ],
    ids=["released", "kernel no multiple", "two taps shared", "stride beyond kernel", "one layer"],
)
@pytest.mark.parametrize("samples", [400, 401, 413])
def test_audio(spec, bias: bool, samples: int) -> None:
    torch.manual_seed(0)
    compare(ConvStem(spec, bias).double(), torch.randn(3, samples, dtype=torch.float64))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 38), min_size=1, max_size=4), st.integers(0, 9))
def test_audio_of_other_lengths(frames: list[int], seed: int) -> None:
    """What is no padding is the same, with the same gradients, as where padding is computed."""
    torch.manual_seed(seed)
    stem, x = ConvStem([(4, 7, 5), (6, 4, 2)], True).double(), torch.randn(len(frames), 400, dtype=torch.float64)
    present = torch.arange(38) < torch.tensor(frames)[:, None]
    results = []
    for y in (stem(x, frames), stem.reference(x)):
        y = y * present[..., None]
        stem.zero_grad()
        (y * torch.linspace(-1, 1, 6)).sum().backward()
        results.append([y.detach(), *(p.grad for p in stem.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-7)
    assert not stem(x, frames)[~present].any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("samples", [400, 413, 1275, 2001])
def test_audio_block_by_block(samples: int, dtype: torch.dtype, monkeypatch) -> None:
    """Where nothing is kept layers go block by block: the same numbers, in the same precision."""
    monkeypatch.setattr(audio_stem, "BLOCK", 17)
    torch.manual_seed(0)
    stem, x = ConvStem([(4, 10, 5), (6, 3, 2), (5, 2, 3)], True).to(dtype), torch.randn(2, samples, dtype=dtype)
    whole = stem(x)
    with torch.no_grad():
        blocks, few = stem(x), stem(x, [3, 8])
    assert whole.requires_grad and not blocks.requires_grad
    close = {"atol": 1e-12, "rtol": 0} if dtype == torch.float64 else {"atol": 0.03, "rtol": 0}
    torch.testing.assert_close(blocks, whole, **close)
    torch.testing.assert_close(few[:, :3], whole[:, :3], **close)
    assert not few[0, 3:].any() and few[1, 3:8].any()


@pytest.mark.parametrize(("frames", "products"), [(1, 3), (2, 6), (3, 7), (7, 17), (9, 21)])
def test_three_windows_cost_seven_products_instead_of_nine(frames: int, products: int) -> None:
    layer = _Layer(torch.randn(6, 4, 3), None, torch.ones(6), torch.zeros(6), 2)
    x_NC = torch.randn(2 * frames + 1, 4)
    assert flops(lambda: layer.convolve(x_NC)) == products * 2 * 4 * 6


@pytest.mark.parametrize("samples", [2001, 2003, 2006])
def test_windows_taken_together_are_as_precise(samples: int) -> None:
    """Float32 against float64, with inputs that differ little: differences of theirs are multiplied."""
    torch.manual_seed(0)
    weight, (scale, shift) = torch.randn(64, 64, 3, dtype=torch.float64), torch.randn(2, 64, dtype=torch.float64)
    x_NC = 3 + 0.1 * torch.randn(samples, 64, dtype=torch.float64)
    exact = F.conv1d(x_NC.T[None], weight, stride=2)[0].T
    together = _Layer(weight.float(), None, scale.float(), shift.float(), 2).convolve(x_NC.float())
    plain = F.conv1d(x_NC.float().T[None], weight.float(), stride=2)[0].T
    assert (together - exact).square().mean() < 4 * (plain - exact).square().mean()


def test_too_short_a_sound() -> None:
    with pytest.raises(ValueError, match="29 samples or windows make no frame"):
        ConvStem([(4, 10, 5), (4, 3, 2), (4, 3, 2)], False)(torch.randn(2, 29))


@pytest.mark.parametrize("grad", [False, True])
def test_layers_are_kept_for_gradients_only(grad: bool, monkeypatch) -> None:
    made, most = [], [0]

    def convolve(layer, x_NC):
        out_NC = original(layer, x_NC)
        made.append(weakref.ref(out_NC))
        most.append(sum(one() is not None for one in made))
        return out_NC

    original = _Layer.convolve
    monkeypatch.setattr(_Layer, "convolve", convolve)
    with torch.set_grad_enabled(grad):
        ConvStem([(4, 7, 5), (6, 4, 2), (6, 4, 2)], False)(torch.randn(5, 400))
    assert len(made) == 15 and max(most) == (10 if grad else 1), "the last two of each clip, or the one at work"


def test_padding_of_audio_costs_nothing() -> None:
    stem, x = ConvStem([(8, 10, 5), (8, 3, 2)], False), torch.randn(4, 4000)
    whole, half = (flops(lambda frames=frames: stem(x, frames).sum().backward()) for frames in (None, [100] * 4))
    assert stem(x).shape[1] == 399
    assert half <= 0.26 * whole


def test_audio_keeps_each_products_output_once_and_no_other() -> None:
    stem, x, kept = ConvStem([(8, 10, 5), (8, 3, 2), (8, 2, 2)], False), torch.randn(2, 4000), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        stem(x)
    known = {p.data_ptr() for p in stem.parameters()} | {x.data_ptr()}
    lengths = sorted(len(t) for t in kept if t is not None and t.data_ptr() not in known)
    assert lengths == [199, 199, 399, 399]


def test_a_frozen_audio_stem_keeps_nothing() -> None:
    stem = ConvStem([(8, 10, 5), (8, 3, 2)], False).requires_grad_(False)
    assert not stem(torch.randn(2, 400)).requires_grad


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 3, 16, 48)])
def test_image(shape) -> None:
    torch.manual_seed(0)
    compare(HmlpStem(16).double(), torch.randn(shape, dtype=torch.float64))
