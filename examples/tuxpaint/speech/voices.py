"""Captions in the voices of a synthesiser, eSpeak NG: what nobody has recorded can be heard too."""

import ctypes
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import espeakng_loader
import numpy as np
import soundfile
import torch
import torchaudio

from one_peace.examples.augment import RATE, colour
from one_peace.examples.processes import in_processes
from one_peace.examples.tuxpaint.recordings import trim

# Its voices that resemble people, whatever the language; neither robots nor whispers.
_NAMES = """
f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee
Marco Mario Michael Mike Nguyen Reed RicishayMax RicishayMax2 RicishayMax3 adam anika announcer antonio aunty belinda
benjamin boris caleb david ed edward edward2 grandma grandpa gustave ian iven iven2 iven3 iven4 john kaukovalta klatt
klatt2 klatt3 klatt4 klatt5 klatt6 linda marcelo michel miguel mike2 norbert pablo paul pedro quincy rob robert sandro
shelby steph steph2 steph3 travis victor zac
"""
VOICES = _NAMES.split()

# espeak_ng/speak_lib.h
_SYNCHRONOUS = 2
_UTF8 = 1
_SPEED, _PITCH, _RANGE = 1, 3, 4
_ON_SAMPLES = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Manner:
    """How something is said: a voice, words a minute (80 to 450), pitch and its range (0 to 99 each)."""

    voice: str
    speed: int
    pitch: int
    range: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Manner":
        """A random one, rather slow, as captions are read to children."""
        voice = VOICES[rng.integers(len(VOICES))]
        return cls(voice, *(int(rng.integers(low, high)) for low, high in ((100, 190), (20, 85), (20, 80))))


class Synthesiser:
    """eSpeak NG. The library speaks with one voice at a time: one object a process."""

    def __init__(self):
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
        if self._rate <= 0:
            raise RuntimeError(f"eSpeak NG did not start: {espeakng_loader.get_data_path()} is not what it needs")
        self._parts: list[np.ndarray] = []
        self._callback = _ON_SAMPLES(self._receive)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        )

    def say(self, text: str, language: str, manner: Manner) -> np.ndarray:
        """float32[samples] at `RATE`, with the silence around it.

        Raises:
            ValueError: it does not speak the language, or has no such voice.
        """
        if self._library.espeak_SetVoiceByName(f"{language}+{manner.voice}".encode()):
            raise ValueError(f"eSpeak NG has no language {language!r} with a voice {manner.voice!r}")
        for parameter, value in ((_SPEED, manner.speed), (_PITCH, manner.pitch), (_RANGE, manner.range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parts.clear()
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        wave = np.concatenate([np.zeros(0, np.int16), *self._parts]).astype(np.float32) / 2**15
        return torchaudio.functional.resample(torch.from_numpy(wave), self._rate, RATE).numpy()

    def _receive(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


@dataclass(frozen=True)
class Spoken:
    """A caption in its language, in a file at ``path`` of so many ``seconds``."""

    caption: str
    language: str
    path: Path
    seconds: float


def write_spoken(
    captions: Iterable[tuple[str, str]], count: int, longest: float, out: Path, processes: int | None = None
) -> list[Spoken]:
    """Has each of the (language, caption) pairs said by ``count`` random voices, each `colour`ed, in files of at most
    ``longest`` seconds below ``out``. Every time by the same voices; but they never say a thing quite the same way."""
    captions = list(captions)
    speak = partial(_speak, count=count, longest=longest, out=out)
    spoken = in_processes(speak, captions, "synthetic voices", "caption", processes)
    return [one for some in spoken for one in some]


@cache
def _synthesiser() -> Synthesiser:
    return Synthesiser()


def _speak(pair: tuple[str, str], count: int, longest: float, out: Path) -> list[Spoken]:
    language, caption = pair
    digest, takes = hashlib.sha256(caption.encode()).hexdigest()[:16], []
    rng = np.random.default_rng(int(digest, 16))
    for take in range(count):
        wave = trim(_synthesiser().say(caption, language, Manner.draw(rng)), longest)
        if not len(wave):
            continue
        path = Path("audio", "synthetic", language, f"{digest}-{take}.flac")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(out / path, colour(wave, rng), RATE, subtype="PCM_16")
        takes.append(Spoken(caption, language, path, len(wave) / RATE))
    return takes
