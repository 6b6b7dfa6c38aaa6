"""The recordings beside Tux Paint's stamps.

``x_desc_fr.ogg`` speaks the French caption of ``x.png``, ``x_desc.ogg`` the English one; ``x.ogg`` is what the thing
sounds like.
"""

import hashlib
import re
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from one_peace.examples.augment import RATE

LANGUAGES = {
    "be": "Belarusian",
    "bg": "Bulgarian",
    "ca": "Catalan",
    "da": "Danish",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "lt": "Lithuanian",
    "nl": "Dutch",
    "ro": "Romanian",
    "ru": "Russian",
}
# Those with hundreds of recordings; the others have less than a hundred, English among them.
SPOKEN = ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru")
_DESCRIPTION = re.compile(r"(?P<stamp>.+)_desc(?:_(?P<language>\w+))?")
_SILENCE = 0.02  # of the peak; what is below at both ends is cut off


def find_sounds(folder: Path) -> list[Path]:
    """All sound files below ``folder``, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".ogg", ".flac", ".wav"))


def name_below(path: Path, folder: Path) -> str:
    """The file's path below ``folder``, without ending: for a sound effect of a stamp, that stamp's name."""
    return path.relative_to(folder).with_suffix("").as_posix()


def split_spoken(name: str) -> tuple[str, str] | None:
    """The stamp and the language of a recording that speaks a caption; None of any other."""
    spoken = _DESCRIPTION.fullmatch(name)
    return (spoken["stamp"], spoken["language"] or "en") if spoken else None


def content_of(path: Path) -> bytes:
    """Equal for files of equal content: several stamps may have the same recording."""
    return hashlib.sha256(path.read_bytes()).digest()


def load_trimmed(path: Path, seconds: float) -> np.ndarray:
    """float32[samples] of a file at `RATE`, mono, `trim`med."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return trim(torchaudio.functional.resample(torch.from_numpy(wave.mean(axis=1)), rate, RATE).numpy(), seconds)


def trim(wave: np.ndarray, seconds: float) -> np.ndarray:
    """float32[samples], peak 1, without the silence around it, at most ``seconds``; nothing of what is silent
    throughout."""
    loud = np.flatnonzero(np.abs(wave) > _SILENCE * np.abs(wave).max(initial=0))
    if not len(loud):
        return wave[:0]
    wave = wave[loud[0] : loud[-1] + 1][: int(seconds * RATE)]
    return wave / np.abs(wave).max()
