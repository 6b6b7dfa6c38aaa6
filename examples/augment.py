"""Clips of sound as other recordings of the same might be."""

import numpy as np
import torch
import torchaudio

RATE = 16_000  # samples a second, what the audio reader works at
_SHAPED = (60.0, 8000.0)  # Hz, between which timbres are changed
_POINTS = 8
_DECIBELS = 8.0  # the standard deviation at each of them


def colour(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32[samples], as another recording might be: always with another timbre, half of all clips with noise, half
    of those in another room."""
    sound = torch.from_numpy(_shaped(wave, rng))
    noise = np.float32(0)
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(0, 0.01), len(wave)).astype(np.float32)
        if rng.random() < 0.5:
            sound = torchaudio.functional.fftconvolve(sound, _room(rng))[: len(sound)]
    return level(level(sound.numpy()) + noise)


def _shaped(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32[samples], louder at some frequencies and fainter at others: a curve through random points."""
    size = 1 << len(wave).bit_length()  # a power of two: many times as fast as a prime number
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    points = np.geomspace(*_SHAPED, _POINTS)
    decibels = np.interp(np.log(frequencies.clip(1)), np.log(points), rng.normal(0, _DECIBELS, _POINTS))
    return np.fft.irfft(np.fft.rfft(wave, size) * 10 ** (decibels / 20))[: len(wave)].astype(np.float32)


def _room(rng: np.random.Generator) -> torch.Tensor:
    """float32[samples], the answer of a room to a click: the click, and noise that fades within 0.1 to 0.6 seconds."""
    seconds, loud = rng.uniform(0.1, 0.6), rng.uniform(0.01, 0.06)
    times = np.arange(int(seconds * RATE)) / RATE
    answer = loud * rng.normal(size=len(times)) * np.exp(-5 * times / seconds)
    answer[0] = 1
    return torch.from_numpy(answer.astype(np.float32))


def together(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32[samples], as long as the longer one: both at once, one louder than the other by up to 7 decibels."""
    share = rng.uniform(0.3, 0.7)
    mix = np.zeros(max(len(one), len(other)), dtype=np.float32)
    for wave, part in ((one, share), (other, 1 - share)):
        mix[: len(wave)] += part * wave / np.sqrt((wave**2).mean())
    return mix


def at_speed(wave: np.ndarray, speed: float) -> np.ndarray:
    """float32[samples / speed] of float32[samples]: tempo and pitch change alike."""
    played = torchaudio.functional.resample(torch.from_numpy(wave), round(RATE * speed), RATE)
    return played.numpy()


def level(wave: np.ndarray) -> np.ndarray:
    """float32[samples] with its peak at 0.9; silence stays."""
    return wave * (0.9 / (np.abs(wave).max() or 1.0))
