"""What an instrument plays: a note, two or three in turn, or a chord, on keys that its split may use."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from one_peace.examples.instruments.general_midi import Instrument

SPLITS = ("train", "valid", "test", "dev")
PITCHES = ("low", "middle", "high")
EFFECTS = "sound effects"
_UNSEEN = 5  # every so manieth key of an instrument is not for training
_CHORDS = ("piano", "chromatic percussion", "organ", "guitar", "ensemble", "synth pad", "synth effects")
_SLOW = ("synth pad", "synth effects", EFFECTS)  # what needs its time to be recognised
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 9), (0, 5, 10))


@dataclass(frozen=True)
class Music:
    """What an instrument plays: a note, two or three in turn, or a chord.

    Attributes:
        keys: of the notes, in turn or, of a chord, at once.
        seconds: that each is held.
        chord: whether they sound at once.
        pitch: one of `PITCHES`, within the instrument's range.
    """

    keys: tuple[int, ...]
    seconds: float
    chord: bool
    pitch: str

    @property
    def length(self) -> str:
        """How a sentence calls `seconds`."""
        return "long" if self.seconds > 0.7 else "short"

    @property
    def order(self) -> str:
        """How a sentence calls the way that notes in turn go."""
        steps = np.sign(np.diff(self.keys))
        return "rising" if (steps > 0).all() else "falling" if (steps < 0).all() else "different"


def compose(instrument: Instrument, split: str, rng: np.random.Generator) -> Music:
    """What the instrument plays: half of all clips are one note, the rest notes in turn or a chord.

    Of the font that is trained on, every fifth key is for validation alone; of other fonts all are played.
    """
    third = int(rng.integers(3))
    keys = keys_of(instrument, split)
    part = [key for key in keys if _third(instrument, key) == third] or keys
    slow = instrument.family in _SLOW
    kind = rng.random()
    if kind < 0.5 or instrument.family == EFFECTS:
        chosen, chord = [int(rng.choice(part))], False
        seconds = rng.uniform(1.0, 1.6) if slow or rng.random() < 0.5 else rng.uniform(0.25, 0.5)
    elif kind < 0.75 and instrument.family in _CHORDS and (triads := list(_triads(part))):
        chosen, chord = triads[rng.integers(len(triads))], True
        seconds = rng.uniform(1.0, 1.6) if slow or rng.random() < 0.5 else rng.uniform(0.4, 0.6)
    else:
        number = int(rng.integers(2, 4))
        chosen, chord = rng.choice(part, min(number, len(part)), replace=False).tolist(), False
        seconds = rng.uniform(0.5, 0.7) if slow else rng.uniform(0.25, 0.5)
    return Music(tuple(chosen), float(seconds), chord, PITCHES[_third(instrument, chosen[0])])


def keys_of(instrument: Instrument, split: str) -> list[int]:
    """The keys that an instrument may play in a split."""
    keys = range(instrument.lowest, instrument.highest + 1)
    other_font = split in ("test", "dev")
    return [k for k in keys if other_font or ((k + instrument.program) % _UNSEEN == 0) == (split == "valid")]


def _third(instrument: Instrument, key: int) -> int:
    """0, 1 or 2: which third of the instrument's range a key is in."""
    return 3 * (key - instrument.lowest) // (instrument.highest + 1 - instrument.lowest)


def _triads(keys: list[int]) -> Iterator[list[int]]:
    """Three keys of `keys` that sound well at once."""
    known = set(keys)
    for key in keys:
        for steps in _TRIADS:
            if known.issuperset(chosen := [key + step for step in steps]):
                yield chosen
