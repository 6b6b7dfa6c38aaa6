"""Stems that start with a log-mel spectrogram."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn
from torchaudio.functional import melscale_fbanks

from one_peace.modalities.audio.conv_spec import RELEASED_SPEC, conv_output_length, parse_conv_spec
from one_peace.modalities.audio.mel import FLOOR, log_mel
from one_peace.modalities.audio.reader import SAMPLE_RATE, AudioReader
from one_peace.modalities.audio.stem import ConvStem
from one_peace.models.base import BaseModel, BaseModelConfig
from one_peace.models.sizes import SIZES

BANDS, WINDOW, HOP = 80, 512, 160


def tone(hz: float, seconds: float = 0.5) -> torch.Tensor:
    """float32[T] of unit variance."""
    return math.sqrt(2) * (2 * math.pi * hz * torch.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE).sin()


def powers(wave: torch.Tensor) -> torch.Tensor:
    """float32[N, bands], what the features say about the power in each band."""
    return (4 * log_mel(wave[None], BANDS, WINDOW, HOP)[0] - 4).exp() - FLOOR


def test_is_what_fourier_says():
    wave = torch.randn(5 * HOP + WINDOW, dtype=torch.float64)
    window = torch.hann_window(WINDOW, dtype=torch.float64)
    spectra = torch.fft.rfft(wave.unfold(0, WINDOW, HOP) * window).abs().square() / window.square().sum()
    expected = spectra @ melscale_fbanks(WINDOW // 2 + 1, 0.0, 8000.0, BANDS, SAMPLE_RATE, None, "slaney").double()
    assert torch.allclose(powers(wave.float()).double(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("hz", [200.0, 1000.0, 6000.0])
def test_a_tone_is_loudest_at_its_frequency_and_a_faint_one_beside_it_is_heard(hz):
    heard = powers(tone(hz)).log()
    centres = melscale_fbanks(8001, 0.0, 8000.0, BANDS, SAMPLE_RATE, None, "slaney").argmax(dim=0)
    loudest = heard.argmax(dim=1)
    assert (loudest == loudest[0]).all() and abs(centres[loudest[0]] - hz) < 0.04 * hz + 20
    faint = powers(tone(hz) + 0.01 * tone(3000)).log()  # 40 decibels below
    assert (faint - heard)[:, (centres - 3000).abs().argmin()].min() > 0.5


@pytest.mark.parametrize("wave", [torch.zeros(4000), 1e4 * torch.randn(4000), torch.randn(4000).half()])
def test_silence_noise_and_half_precision_stay_finite(wave):
    features = log_mel(wave[None], BANDS, WINDOW, HOP)
    assert features.dtype == torch.float32 and features.isfinite().all() and features.abs().max() < 8


@given(st.integers(400, 200_000), st.sampled_from(["tiny", "small"]))
def test_sizes_have_the_released_number_of_frames(samples, size):
    spec = parse_conv_spec(SIZES[size]["encoder"]["audio_adapter"]["feature_encoder_spec"])
    assert conv_output_length(samples, spec) == conv_output_length(samples, parse_conv_spec(RELEASED_SPEC))


@given(st.integers(600, 9000), st.sampled_from([(8, 512, 160), (8, 400, 320), (8, 130, 7)]))
def test_windows_are_those_of_a_convolution(samples, layer):
    assert log_mel(torch.zeros(1, samples), *layer).shape == (1, conv_output_length(samples, [layer]), 8)


def test_gradients_are_those_of_the_layers():
    stem = ConvStem([(8, 512, 160), (6, 4, 4), (5, 2, 1)], True, spectrogram=True).double()
    x = torch.randn(3, 6000, dtype=torch.float64)
    assert [tuple(layer[0].weight.shape) for layer in stem.conv_layers] == [(6, 8, 4), (5, 6, 2)]
    fast, slow = stem(x), stem.reference(x)
    assert torch.allclose(fast, slow)
    weights = torch.randn_like(slow)
    gradients = [torch.autograd.grad((out * weights).sum(), stem.parameters()) for out in (fast, slow)]
    assert all(torch.allclose(one, two) for one, two in zip(*gradients, strict=True))
    cut = stem(x, [4, 1, fast.shape[1]])
    assert torch.allclose(cut[0, :4], fast[0, :4]) and not cut[1, 1:].any() and torch.allclose(cut[2], fast[2])


def build(size: str = "tiny", reader_options: dict | None = None, **audio_adapter) -> nn.Sequential:
    """The stem of a new model."""
    reader = AudioReader.from_options(reader_options or {})
    task = SimpleNamespace(modalities=("audio",), adapter_settings=lambda: {"audio": reader.adapter_settings()})
    cfg = OmegaConf.structured(BaseModelConfig(size=size, encoder={"audio_adapter": audio_adapter}))
    return BaseModel.build_model(cfg, task).encoder_wrapper.adapter("audio").embed_audios


def test_a_new_model_starts_at_unit_variance():
    torch.manual_seed(0)
    wave = F.layer_norm(torch.randn(2, SAMPLE_RATE) * torch.linspace(0, 1, SAMPLE_RATE), (SAMPLE_RATE,))
    stem, _, norm, project = build()
    assert 0.8 < project(norm(stem(wave))).std() < 1.2
    assert 0.3 < log_mel(tone(440)[None], *stem.spectrogram).std() < 2


def test_the_spectrogram_is_no_part_of_the_weights():
    stem = build()
    names = [f"0.conv_layers.0.{name}" for name in ("0.weight", "2.1.weight", "2.1.bias")]
    assert list(stem.state_dict()) == [*names, "2.weight", "2.bias", "3.weight", "3.bias"]
    wave = torch.randn(1, SAMPLE_RATE)
    exact, rounded = stem(wave), stem.bfloat16()(wave.bfloat16())
    assert rounded.dtype == torch.bfloat16 and F.cosine_similarity(exact, rounded.float(), dim=-1).min() > 0.99


def test_the_tasks_stem_is_the_models():
    stem, *_ = build(reader_options={"feature_encoder_spec": "[(64, 400, 160), (32, 4, 4)]"})
    assert stem.spectrogram == (64, 400, 160)
    assert [tuple(layer[0].weight.shape) for layer in stem.conv_layers] == [(32, 64, 4)]
    plain, *_ = build(reader_options={"feature_encoder_spec": "[(64, 400, 160), (32, 4, 4)]"}, log_mel=False)
    assert [tuple(layer[0].weight.shape) for layer in plain.conv_layers] == [(64, 1, 400), (32, 64, 4)]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("[(64, 400, 160)]", "log_mel: .* a convolution after"),
        (RELEASED_SPEC, "window of 10 samples .* 512 bands; .*log_mel: false"),
    ],
)
def test_stems_that_cannot(spec, words):
    with pytest.raises(ValueError, match=words):
        build(feature_encoder_spec=spec)
