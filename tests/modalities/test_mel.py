"""Stems that start as a mel spectrogram."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn
from torch.nn.functional import gelu

from one_peace.modalities.audio.conv_spec import RELEASED_SPEC, conv_output_length, parse_conv_spec
from one_peace.modalities.audio.mel import HIGHEST, LOWEST, PHASES, init_as_mel, mel_filters
from one_peace.modalities.audio.reader import SAMPLE_RATE, AudioReader
from one_peace.models.base import BaseModel, BaseModelConfig
from one_peace.models.sizes import SIZES

FREQUENCIES, TAPS = 64, 512
CENTRES = 700 * (
    (torch.linspace(math.log(1 + LOWEST / 700), math.log(1 + HIGHEST / 700), 2 * FREQUENCIES + 1)[1::2]).exp() - 1
)


def convolutions(kernel: int = TAPS) -> tuple[nn.Conv1d, nn.Conv1d]:
    first = nn.Conv1d(1, PHASES * FREQUENCIES, kernel, stride=160, bias=False)
    second = nn.Conv1d(PHASES * FREQUENCIES, 128, 4, stride=4, bias=False)
    init_as_mel(first, second)
    return first, second


def magnitudes(hz: float, phase: float) -> torch.Tensor:
    """What the rectified phases of each frequency add up to in four windows of a tone."""
    tone = (2 * math.pi * hz * torch.arange(2 * SAMPLE_RATE // 10) / SAMPLE_RATE + phase).sin()
    rectified = gelu(10 * convolutions()[0](tone[None, None])[0, :, :4])
    return rectified.unflatten(0, (FREQUENCIES, PHASES)).sum(dim=(1, 2))


@pytest.mark.parametrize("band", [8, 20, 40, 63])
def test_a_tone_is_loudest_at_its_frequency_whenever_it_began(band):
    heard = torch.stack([magnitudes(CENTRES[band].item(), phase) for phase in torch.linspace(0, 6, 7)])
    assert (heard.argmax(dim=1) == band).all()
    assert heard[:, band].max() / heard[:, band].min() < math.sqrt(2), "|cos| + |sin| is 1 to the root of 2"


def test_filters_are_as_large_as_the_noise_they_stand_for():
    noise = nn.init.kaiming_normal_(torch.empty(4000, 1, TAPS)).norm(dim=(1, 2)).mean()
    assert torch.allclose(mel_filters(FREQUENCIES, TAPS).norm(dim=1), noise, rtol=0.02)


def test_the_second_convolution_tells_all_frequencies_apart():
    weight = convolutions()[1].weight
    assert torch.equal(weight, weight[:, :, :1].expand_as(weight)), "its taps differ"
    by_frequency = weight[:, :, 0].unflatten(1, (FREQUENCIES, PHASES))
    assert torch.equal(by_frequency, by_frequency[..., :1].expand_as(by_frequency)), "its phases differ"
    assert torch.allclose(by_frequency[..., 0].T @ by_frequency[..., 0], torch.eye(FREQUENCIES), atol=1e-5)


@given(st.integers(400, 200_000), st.sampled_from(["tiny", "small"]))
def test_sizes_have_the_released_number_of_frames(samples, size):
    spec = parse_conv_spec(SIZES[size]["encoder"]["audio_adapter"]["feature_encoder_spec"])
    assert conv_output_length(samples, spec) == conv_output_length(samples, parse_conv_spec(RELEASED_SPEC))


def build(size: str = "tiny", reader_options: dict | None = None, **audio_adapter) -> nn.Sequential:
    """The stem of a new model."""
    reader = AudioReader.from_options(reader_options or {})
    task = SimpleNamespace(modalities=("audio",), adapter_settings=lambda: {"audio": reader.adapter_settings()})
    cfg = OmegaConf.structured(BaseModelConfig(size=size, encoder={"audio_adapter": audio_adapter}))
    return BaseModel.build_model(cfg, task).encoder_wrapper.adapter("audio").embed_audios


def test_a_new_model_starts_with_them_and_hears_as_much_as_it_sees_positions():
    torch.manual_seed(0)
    stem, _, norm, project = build()
    assert torch.equal(stem.conv_layers[0][0].weight[:, 0], mel_filters(64, 240))
    assert 0.8 < project(norm(stem(torch.randn(2, SAMPLE_RATE)))).std() < 1.2
    assert not torch.equal(build(mel_stem=False)[0].conv_layers[0][0].weight[:, 0], mel_filters(64, 240))


def test_the_tasks_stem_is_the_models():
    stem, *_ = build(reader_options={"feature_encoder_spec": "[(64, 400, 160), (32, 4, 4)]"})
    assert [tuple(layer[0].weight.shape) for layer in stem.conv_layers] == [(64, 1, 400), (32, 64, 4)]


@pytest.mark.parametrize(
    ("spec", "words"),
    [("[(64, 400, 160)]", "one convolution; .*mel_stem: false"), ("[(6, 9, 5), (8, 2, 2)]", "of 4; .*mel_stem: false")],
)
def test_stems_that_cannot(spec, words):
    with pytest.raises(ValueError, match=words):
        build(feature_encoder_spec=spec)
