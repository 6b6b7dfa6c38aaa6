"""Real recordings by what they sound like: Tux Paint's effects and spoken captions, Sonic Pi's samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from one_peace.examples.tuxpaint.recordings import (
    LANGUAGES,
    content_of,
    find_sounds,
    load_trimmed,
    name_below,
    split_spoken,
)

# Shares of a label's recordings. As in life, most have never been labelled: only pretraining hears them. "known" is for
# validation.
SPLITS = {"pretraining": 0.4, "train": 0.2, "known": 0.2, "held_out": 0.2}
SPEECH = " speech"  # what the labels of spoken recordings end in
_FEWEST = 5  # recordings of a label
_MOST = 60  # that are used
_LONGEST = 3.0  # seconds of a recording that are used
# The first that matches how a recording's path begins, below the folder of all stamps or samples, says what it is.
_EFFECTS = {
    "animals/birds": "bird",
    "animals/insects": "insect",
    "animals/mammals": "mammal",
    "animals/marsupials": "mammal",
    "hobbies/music": "musical instrument",
    "household": "household noise",
}
_SAMPLES = {
    "ambi_": "ambience",
    "bass_": "bass",
    "bd_": "bass drum",
    "drum_bass": "bass drum",
    "drum_heavy_kick": "bass drum",
    "drum_cymbal": "cymbal",
    "drum_splash": "cymbal",
    "drum_snare": "snare drum",
    "drum_tom": "tom drum",
    "sn_": "snare drum",
    "elec_": "electronic beep",
    "glitch_robot": "robot",
    "mehackit_robot": "robot",
    "glitch_": "glitch",
    "loop_": "music loop",
    "perc_": "percussion",
    "tabla_": "tabla",
}


@dataclass(frozen=True, order=True)
class Recording:
    """A file and what can be heard in it."""

    label: str
    path: Path


def label_of_stamp(name: str) -> str | None:
    """What the recording of a stamp, named by its path without ending, sounds like; None if that is not for use."""
    if spoken := split_spoken(name):
        language = LANGUAGES.get(spoken[1])
        return language and f"{language}{SPEECH}"
    return _first(_EFFECTS, name)


def label_of_sample(name: str) -> str | None:
    """The same for a sample of Sonic Pi."""
    return _first(_SAMPLES, name)


def find_recordings(stamps: Path, samples: Path | None) -> list[Recording]:
    """All recordings of labels that have enough, each content once: several stamps may have the same words."""
    found = [Recording(label, p) for p in find_sounds(stamps) if (label := label_of_stamp(name_below(p, stamps)))]
    if samples:
        found += [
            Recording(label, p) for p in find_sounds(samples) if (label := label_of_sample(name_below(p, samples)))
        ]
    contents: dict[bytes, Recording] = {}
    for recording in found:
        contents.setdefault(content_of(recording.path), recording)
    by_label: dict[str, list[Recording]] = {}
    for recording in contents.values():
        by_label.setdefault(recording.label, []).append(recording)
    return sorted(r for members in by_label.values() if len(members) >= _FEWEST for r in members)


def deal(recordings: Iterable[Recording], seed: int) -> dict[str, dict[str, list[Recording]]]:
    """Split -> label -> its recordings, but for silent ones: disjoint, of each label at least one in each split."""
    by_label: dict[str, list[Recording]] = {}
    for recording in recordings:
        by_label.setdefault(recording.label, []).append(recording)
    dealt: dict[str, dict[str, list[Recording]]] = {split: {} for split in SPLITS}
    for label, members in tqdm(by_label.items(), desc="recordings", unit="label"):
        order = np.random.default_rng([seed, *label.encode()]).permutation(len(members))[:_MOST]
        rest = [members[i] for i in order if len(load(members[i]))]
        for split in ("known", "held_out", "train"):
            dealt[split][label] = [rest.pop() for _ in range(max(1, round(SPLITS[split] * len(order))))]
        dealt["pretraining"][label] = rest
    return dealt


@cache
def load(recording: Recording) -> np.ndarray:
    """float32[samples] at `RATE`, mono, peak 1, without the silence around it, at most `_LONGEST` seconds; nothing of a
    recording that is silent throughout."""
    return load_trimmed(recording.path, _LONGEST)


def together(waves: Sequence[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """float32[samples]: all at once, each somewhere in the clip, or a part of it where it is longer."""
    clip = np.zeros(samples)
    for wave in waves:
        begin = int(rng.integers(max(0, len(wave) - samples) + 1))
        part = wave[begin : begin + samples]
        at = int(rng.integers(samples - len(part) + 1))
        clip[at : at + len(part)] += part * rng.uniform(0.4, 1.0)
    return _level(clip, rng)


def in_turn(waves: Sequence[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """float32[samples]: one after the other, each within its share of the clip."""
    clip = np.zeros(samples)
    share = samples // len(waves)
    for place, wave in enumerate(waves):
        part = wave[: int(0.95 * share)]
        at = place * share + int(rng.integers(share - len(part)))
        clip[at : at + len(part)] += part * rng.uniform(0.5, 1.0)
    return _level(clip, rng)


def _level(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    clip = clip + rng.normal(0, 0.002, len(clip))
    return (clip / np.abs(clip).max() * rng.uniform(0.4, 0.95)).astype(np.float32)


def _first(labels: dict[str, str], name: str) -> str | None:
    return next((label for begin, label in labels.items() if name.startswith(begin)), None)
