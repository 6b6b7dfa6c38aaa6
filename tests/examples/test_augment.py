"""Clips as other recordings of the same."""

import numpy as np
import pytest

from one_peace.examples.augment import at_speed, colour, level


def test_colour_keeps_the_pitch():
    wave = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32) * 0.01
    many = [colour(wave, np.random.default_rng(seed)) for seed in range(20)]
    for one in many:
        assert np.abs(one).max() == pytest.approx(0.9) and one.dtype == np.float32
        assert np.abs(np.fft.rfft(one * np.hanning(16000))).argmax() == pytest.approx(440, abs=2)
    assert len({one.tobytes() for one in many}) == len(many)


def test_colour_makes_another_timbre():
    """Of white noise: each time louder and fainter elsewhere, by several decibels, and smoothly."""
    wave = np.random.default_rng(0).normal(0, 0.1, 64000).astype(np.float32)
    many = np.stack([colour(wave, np.random.default_rng(seed)) for seed in range(20)])
    bands = np.square(np.abs(np.fft.rfft(many)))[:, 400:32000].reshape(20, 79, 400).mean(axis=2)
    decibels = 10 * np.log10(bands)
    assert 4 < decibels.std(axis=0).mean() < 14 and np.abs(np.diff(decibels, axis=1)).mean() < 2


def test_speed_changes_tempo_and_pitch():
    wave = np.sin(2 * np.pi * 400 * np.arange(16000) / 16000).astype(np.float32)
    fast = at_speed(wave, 1.25)
    assert len(fast) == 12800
    assert np.abs(np.fft.rfft(fast)).argmax() * 16000 / len(fast) == pytest.approx(500, abs=2)
    assert (at_speed(wave, 1.0) == wave).all()


def test_silence_stays():
    assert not level(np.zeros(100, np.float32)).any()
