"""Plays General MIDI instruments from a sound font (SF2 file)."""

from pathlib import Path

import numpy as np
import tinysoundfont
import torch
import torchaudio

from one_peace.examples.augment import RATE
from one_peace.examples.instruments.music import Music

_FONT_RATE = 48_000
_LONGEST = 2.0  # seconds of a clip
_FADING = 0.4  # seconds after the last key
_SILENCE = 0.01  # of the peak; what comes after the last louder sample is cut off
_FAINT = 0.001  # of full scale; a clip that is nowhere louder cannot be heard


class FontError(ValueError):
    """A sound font that is not for use; the message says why."""


class SoundFont:
    """A sound font file's 128 General MIDI programs.

    Raises:
        FontError: it cannot be read, or lacks a program.
    """

    def __init__(self, path: Path):
        self._synth = tinysoundfont.Synth(samplerate=_FONT_RATE)
        try:
            self._font = self._synth.sfload(str(path))
        except RuntimeError as error:
            raise FontError(f"{path}: no sound font that can be read ({error})") from None
        missing = [n for n in range(128) if not self._synth.sfpreset_name(self._font, 0, n)]
        if missing:
            raise FontError(f"{path}: has no program {missing[0]} in bank 0: take a General MIDI sound font")

    def play(self, program: int, music: Music, velocity: int, tuning: float = 0.0) -> np.ndarray:
        """float32[samples] at `RATE`, mono, as loud as the font is, without the silence after it.

        Args:
            program: from 0 to 127.
            music: what to play.
            velocity: how hard, from 1 to 127.
            tuning: in semitones; -2 makes of the recording of a key that of two keys below.

        Raises:
            FontError: nothing can be heard.
        """
        synth = self._synth
        synth.sounds_off()
        synth.program_select(0, self._font, 0, program)
        synth.set_tuning(0, tuning)
        self._generate(0.05)  # ends what sounded before
        parts = []
        for keys in [music.keys] if music.chord else [(key,) for key in music.keys]:
            for key in keys:
                synth.noteon(0, key, velocity)
            parts.append(self._generate(music.seconds))
            for key in keys:
                synth.noteoff(0, key)
        parts.append(self._generate(_FADING))
        wave = torch.from_numpy(np.concatenate(parts)[: int(_LONGEST * _FONT_RATE)])
        wave = torchaudio.functional.resample(wave, _FONT_RATE, RATE).numpy()
        peak = np.abs(wave).max()
        if peak < _FAINT:
            raise FontError(f"program {program} cannot be heard at key {music.keys[0]}")
        return wave[: np.flatnonzero(np.abs(wave) > _SILENCE * peak)[-1] + 1]

    def _generate(self, seconds: float) -> np.ndarray:
        """float32[samples] at `_FONT_RATE`, the mean of both channels."""
        stereo = np.frombuffer(bytes(self._synth.generate(int(seconds * _FONT_RATE))), dtype=np.float32)
        return stereo.reshape(-1, 2).mean(axis=1)
