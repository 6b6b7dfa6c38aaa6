"""Sounds of every kind -> a normalised waveform; counting frames; the convolution spec."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.functional import resample

from one_peace.data.errors import SampleError
from one_peace.modalities.audio import reader as audio_reader
from one_peace.modalities.audio.conv_spec import RELEASED_SPEC, conv_output_length, parse_conv_spec
from one_peace.modalities.audio.reader import AudioReader


@pytest.fixture(scope="module")
def reader():
    return AudioReader.from_options({"max_duration": 2, "feature_encoder_spec": RELEASED_SPEC}, {})


def tone(seconds, rate, channels=1, frequency=440.0):
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def peak(wav):
    """Frequency in Hz of the strongest bin."""
    return torch.fft.rfft(wav).abs().argmax().item() * 16000 / len(wav)


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (22050, 1), (8000, 2), (48000, 1)])
def test_formats_rates_and_channels(reader, tmp_path, name, rate, channels):
    soundfile.write(tmp_path / name, tone(1.5, rate, channels), rate)
    wav = reader.load(name, tmp_path)
    assert wav.dtype == torch.float32 and abs(len(wav) - 24000) < (2500 if name == "x.mp3" else 3)
    assert abs(peak(wav) - 440) < 2
    assert abs(wav.mean()) < 1e-3 and abs(wav.std() - 1) < 0.05


@pytest.mark.parametrize("rate", [44101, 11025, 96000, 7919, 192000])
def test_odd_rates_keep_the_pitch(reader, tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", tone(2, rate), rate)
    assert abs(peak(reader.load("x.wav", tmp_path)) - 440) < 1


def test_channels_are_averaged(reader, tmp_path):
    left, right = tone(1, 16000), tone(1, 16000, frequency=1000)
    soundfile.write(tmp_path / "x.wav", np.hstack([right, left, -right]), 16000, subtype="FLOAT")
    assert abs(peak(reader.load("x.wav", tmp_path)) - 440) < 2


def test_cut_after_normalising_and_repeated_up_to_a_second(reader, tmp_path):
    loud_end = np.concatenate([tone(2, 16000) * 0.01, tone(2, 16000)])
    soundfile.write(tmp_path / "x.wav", loud_end, 16000, subtype="FLOAT")
    wav = reader.load("x.wav", tmp_path)
    assert len(wav) == 32000 and wav.abs().max() < 0.05
    soundfile.write(tmp_path / "x.wav", tone(0.3, 16000), 16000, subtype="FLOAT")
    wav = reader.load("x.wav", tmp_path)
    assert len(wav) == 16000 and torch.equal(wav[:4800], wav[4800:9600]) and torch.equal(wav[:1600], wav[14400:])


@pytest.mark.parametrize("samples", [1, 2, 399, 16000 * 3])
def test_silence_and_a_single_sample_work(reader, tmp_path, samples):
    soundfile.write(tmp_path / "x.wav", np.zeros(samples, np.float32), 16000)
    wav = reader.load("x.wav", tmp_path)
    assert (wav == 0).all() and reader.num_units(wav) >= 49


def test_a_ten_minute_clip_works(reader, tmp_path):
    soundfile.write(tmp_path / "x.flac", np.zeros(600 * 16000, np.int16), 16000)
    assert len(reader.load("x.flac", tmp_path)) == 32000


def test_bad_sounds(reader, tmp_path, monkeypatch):
    def refused(words):
        with pytest.raises(SampleError, match=words):
            reader.load("x.wav", tmp_path)

    soundfile.write(tmp_path / "x.wav", np.zeros(0, np.float32), 16000)
    refused("no samples")
    for value in (np.nan, np.inf, 3e38, 1e25):
        wave = tone(1, 16000)
        wave[100:110] = value
        soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
        refused("NaN, infinite")
    for content in (b"", b"not a sound", b"RIFF\0\0\0\0WAVE"):
        (tmp_path / "x.wav").write_bytes(content)
        refused("damaged or of an unknown format")
    soundfile.write(tmp_path / "x.wav", np.zeros(100, np.float32), 500)
    refused("sampling rate 500 Hz")
    monkeypatch.setattr("one_peace.modalities.audio.reader.MAX_MINUTES", 1)
    soundfile.write(tmp_path / "x.wav", np.zeros(61 * 1000, np.float32), 1000)
    refused("longer than 1 minutes of ")
    monkeypatch.setattr("one_peace.modalities.audio.reader._MAX_SAMPLES", 30 * 1000)
    refused("longer than 0.5 minutes of 1000 Hz")


def test_collate_pads_waveforms_and_counts_frames(reader):
    batch = reader.collate([torch.ones(16000), torch.ones(24000)])
    assert batch["values"].shape == (2, 24000) and not batch["values"][0, 16000:].any()
    assert batch["padding_mask"].shape == (2, 1 + 74)
    assert (~batch["padding_mask"]).sum(1).tolist() == [50, 75]


def test_span_mask_counts_frames(reader):
    mask = reader.mask(torch.ones(32000), "span", 0.55, torch.Generator().manual_seed(0))
    assert mask.shape == (99,) and mask.sum() == 54


def test_the_released_spec():
    assert parse_conv_spec(RELEASED_SPEC) == [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2
    assert parse_conv_spec("[(1, 2, 3), [4, 5, 6]]") == [(1, 2, 3), (4, 5, 6)]
    assert parse_conv_spec("2 * [(1, 2, 3)]") == [(1, 2, 3)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "[(1, 2)]",
        "[(1, 2, 0)]",
        "[(1, 2, True)]",
        "[(1, 2, 3.0)]",
        "[(1, 2, 3)] * 1000000000",
        "[(1, 2, 3)] * 60 * 60",
        "[(1, 2, 3)] + 1",
        "[(1, 2, 3)] - [(1, 2, 3)]",
        "__import__('os').system('true')",
        "[(1, 2, 3) for _ in range(3)]",
        "(" * 5000,
    ],
)
def test_other_specs_are_refused_and_nothing_is_executed(text):
    with pytest.raises(ValueError, match="convolution spec"):
        parse_conv_spec(text)


@given(st.integers(0, 20_000))
def test_frame_count_is_that_of_real_convolutions(length):
    spec = [(1, 10, 5), (1, 3, 2), (1, 2, 2)]
    frames = torch.zeros(1, 1, length)
    for _, kernel, stride in spec:
        frames = frames.unfold(-1, kernel, stride)[..., 0] if frames.shape[-1] >= kernel else frames[..., :0]
    assert conv_output_length(length, spec) == frames.shape[-1]


def test_wrong_options():
    for option in ({"max_duration": 0.5}, {"feature_encoder_spec": "[(8, 20000, 1)]"}, {"audio_mask_length": 0}):
        with pytest.raises(ValueError, match=next(iter(option))):
            AudioReader.from_options(option, {})
    with pytest.raises(ValueError, match=r"max_duration=30: makes 1500 positions .* reach 1024; at most 20\.4 seconds"):
        AudioReader.from_options({"max_duration": 30}, {})
    AudioReader.from_options({"max_duration": 20.4}, {})
    with pytest.raises(ValueError, match="did you mean 'max_duration'"):
        AudioReader.from_options({}, {"max_durations": 3})


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 44101, 48000, 16001, 96000])
def test_a_kept_kernel_resamples_bit_for_bit_like_a_new_one(rate):
    ratio = Fraction(rate, 16000).limit_denominator(640)
    for seed in range(2):  # the second time with the kept one
        wav = torch.randn(rate // 3, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(audio_reader._resampler(rate)(wav), resample(wav, ratio.numerator, ratio.denominator))
    assert audio_reader._resampler(rate) is audio_reader._resampler(rate)


def test_kernels_are_few_and_do_not_travel_with_the_reader(reader, tmp_path):
    for rate in range(20_000, 20_040):
        soundfile.write(tmp_path / "x.wav", tone(0.1, rate), rate)
        wav = reader.load("x.wav", tmp_path)
    assert audio_reader._resampler.cache_info().currsize <= 16
    content = pickle.dumps(reader)
    assert len(content) < 2000 and torch.equal(pickle.loads(content).load("x.wav", tmp_path), wav)


@given(st.integers(1, 9), st.integers(1, 50), st.integers(0, 99))
def test_the_mean_over_channels_is_numpys(channels, samples, seed):
    block = np.random.default_rng(seed).standard_normal((samples, channels), dtype=np.float32)
    assert (audio_reader._mono(block) == block.mean(axis=1)).all()


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg", "x.mp3"])
@pytest.mark.parametrize(("seconds", "rate"), [(0.2, 16000), (1.3, 44100), (1.7, 8000), (3, 48000), (1.5, 11025)])
def test_the_header_tells_the_number_of_frames(reader, tmp_path, monkeypatch, name, seconds, rate):
    soundfile.write(tmp_path / name, tone(seconds, rate, 2), rate)
    frames = reader.num_units(reader.load(name, tmp_path))
    monkeypatch.setattr(soundfile.SoundFile, "read", None)  # nothing is decoded
    assert abs(reader.estimate_units(name, tmp_path) - frames) <= (8 if name == "x.mp3" else 1)


def test_estimates_without_a_good_file(reader, tmp_path):
    second, longest = 49, 99
    (tmp_path / "x.wav").write_bytes(b"not a sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 16000)
    for cell in ("x.wav", "empty.wav", "none.wav", "", "a\0b", "."):
        assert reader.estimate_units(cell, tmp_path) == second
    for duration, frames in ((0.1, second), (1.5, 74), (2.0, longest), (1e9, longest)):
        assert reader.estimate_units("none.wav", tmp_path, duration) == frames
