"""Sounds embedded as the mean over themselves and other recordings of them as might be: test-time augmentation."""

import argparse
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from one_peace.examples.augment import RATE, at_speed, colour
from one_peace.examples.processes import in_processes

if TYPE_CHECKING:
    from one_peace.examples.views import Embed

_SPEEDS = (0.84, 1.19)  # three semitones down and up
_STEPS = 50  # speeds are so many parts of one: what to resample by other numbers takes long


def embed_takes(embed: "Embed", paths: Sequence[str], takes: int) -> Tensor:
    """Unit-norm float32[N, D] of sound files: each the mean embedding of the file and of `takes` other recordings.

    Another recording is played up to three semitones lower or higher, in another timbre, half of them with noise: the
    same whatever else is embedded.
    """
    own_ND = embed("audio", list(paths))  # or an error that names the file
    if takes < 1:
        return own_ND
    with tempfile.TemporaryDirectory() as folder:
        work = [(path, take, Path(folder, f"{take}_{n}.flac")) for take in range(takes) for n, path in enumerate(paths)]
        others_TND = embed("audio", list(in_processes(_write_take, work, "takes", "clip"))).unflatten(0, (takes, -1))
    return F.normalize(own_ND + others_TND.sum(dim=0), dim=-1)


def add_takes_flag(parser: argparse.ArgumentParser, default: int) -> None:
    """Adds ``--takes``."""
    parser.add_argument(
        "--takes",
        type=int,
        default=default,
        help="embed a sound as the mean of itself and so many other recordings of it as might be (default %(default)s)",
    )


def _write_take(work: tuple[str, int, Path]) -> str:
    path, take, out = work
    rng = np.random.default_rng([take, zlib.crc32(Path(path).name.encode())])
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = torchaudio.functional.resample(torch.from_numpy(wave.mean(axis=1)), rate, RATE).numpy()
    speed = round(_STEPS * np.exp(rng.uniform(*np.log(_SPEEDS)))) / _STEPS
    soundfile.write(out, colour(at_speed(wave, speed), rng), RATE)
    return str(out)
