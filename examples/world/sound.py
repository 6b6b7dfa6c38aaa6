"""Plays a scene: shape is timbre, colour is pitch, count is the number of beeps, size their length; in a pair the order
of the two tones and what lies between them tell the relation (as in `play`)."""

import numpy as np

from one_peace.examples.world.scene import COLOURS, Group, Scene, Thing

RATE = 16_000  # samples a second, what the audio reader works at
SAMPLES = RATE  # one second
PITCH = {colour: 190.0 * 1.5**i for i, colour in enumerate(COLOURS)}  # Hz, a fifth apart: 190 ... 1443
BEEP_SECONDS = {"small": (0.07, 0.09), "large": (0.19, 0.22)}
STEP_SECONDS = 0.28  # from one beep to the next


def play(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Renders `scene` as float32[SAMPLES] within [-1, 1]; loudness, tuning, onset and hiss vary with `rng`.

    A group is `count` beeps of one tone. A pair is two tones: for "left of" the left one, a pause, the right one;
    for "above" the upper one, a falling swish, the lower one; for "inside" the outer one sounds throughout and the
    inner one joins it in the middle.
    """
    wave = np.zeros(SAMPLES)
    start = rng.uniform(0.02, 0.08)
    if isinstance(scene, Group):
        for beep in range(scene.count):
            at = start + beep * STEP_SECONDS
            _add(wave, at, _tone(scene.thing, rng.uniform(*BEEP_SECONDS[scene.size]), rng))
    elif scene.relation == "inside":
        _add(wave, start, _tone(scene.second, 0.88, rng))
        _add(wave, start + 0.3, 1.4 * _tone(scene.first, 0.28, rng))
    else:
        _add(wave, start, _tone(scene.first, 0.34, rng))
        if scene.relation == "above":
            _add(wave, start + 0.35, _swish(0.18, rng))
        _add(wave, start + 0.54, _tone(scene.second, 0.34, rng))
    wave += rng.normal(0, 0.01, SAMPLES)
    return (wave / np.abs(wave).max() * rng.uniform(0.4, 0.95)).astype(np.float32)


def _add(wave: np.ndarray, at_seconds: float, sound: np.ndarray) -> None:
    begin = int(at_seconds * RATE)
    sound = sound[: len(wave) - begin]
    wave[begin : begin + len(sound)] += sound


def _tone(thing: Thing, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One tone: pitch by colour (within 1.5 % of the note), timbre by shape, soft edges."""
    n = int(seconds * RATE)
    phase = 2 * np.pi * PITCH[thing.colour] * rng.uniform(0.985, 1.015) * np.arange(n) / RATE + rng.uniform(0, 6.28)
    edge = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.01 * RATE))
    return edge * _timbre(thing.shape, phase, np.arange(n) / RATE)


def _timbre(shape: str, phase: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    if shape == "circle":  # pure
        return np.sin(phase)
    if shape == "square":  # hollow: odd harmonics
        return sum(np.sin(k * phase) / k for k in (1, 3, 5))
    if shape == "triangle":  # bright: all harmonics
        return sum(np.sin(k * phase) / k**0.5 for k in (1, 2, 3, 4, 5)) / 1.5
    if shape == "star":  # a bell: inharmonic frequency modulation
        return np.sin(phase + 3.0 * np.sin(1.41 * phase))
    return np.sin(phase) * (1 + np.sin(2 * np.pi * 40 * seconds)) / 1.5  # cross: a buzz


def _swish(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Noise under a falling envelope."""
    n = int(seconds * RATE)
    return rng.normal(0, 0.5, n) * np.linspace(1, 0, n)
