"""Sentences that say what is played: "a violin playing a low note", "three rising notes of a marimba"."""

from collections.abc import Iterator

import numpy as np

from one_peace.examples.instruments.general_midi import FAMILIES, Instrument
from one_peace.examples.instruments.music import EFFECTS, Music

_NUMBERS = {2: "two", 3: "three"}
_NAME = ("{name}", "the sound of {name}")  # as in prompts.txt
_NAMES_ONLY = 2 / 3  # of the captions of one instrument
_FAMILY = ("{family}", "the sound of {family}")
_EFFECT = (*_NAME, "{name}, {family}", _FAMILY[0])
_ALWAYS = (*_EFFECT, "the sound of {name}, {family}", _FAMILY[1])
_NOTE = (
    "{name} playing a {pitch} note",
    "{name} playing a {length} note",
    "{name} playing a {length} {pitch} note",
    "a {pitch} note of {name}",
    "a {length} note of {name}",
    "{name}, {family}, playing a {pitch} note",
)
_NOTES = (
    "{number} notes of {name}",
    "{number} {order} notes of {name}",
    "{number} {pitch} notes of {name}",
    "{name} playing {number} notes",
    "{name} playing {number} {order} notes",
    "{name}, {family}, playing {number} notes",
)
_CHORD = (
    "{name} playing a chord",
    "a chord of {name}",
    "a {length} chord of {name}",
    "{name} playing a {pitch} chord",
    "{name}, {family}, playing a chord",
)
_EXAMPLES = (
    Music((60,), 0.2, False, "low"),
    Music((60, 62), 0.2, False, "middle"),
    Music((62, 60), 0.2, False, "high"),
    Music((60, 62, 60), 0.2, False, "high"),
    Music((60, 64, 67), 1.0, True, "low"),
)


def templates(instrument: Instrument, music: Music) -> tuple[str, ...]:
    """The sentences that fit, to be filled in."""
    if instrument.family == EFFECTS:
        return _EFFECT
    return _ALWAYS + (_NOTE if len(music.keys) == 1 else _CHORD if music.chord else _NOTES)


def describe(instrument: Instrument, music: Music, rng: np.random.Generator) -> str:
    """A sentence drawn at random, most often one that names the instrument and says no more.

    A text branch that has hardly read these words makes of "two rising notes of ..." anything: a caption that holds a
    name is nearest to that name two times of five, and the more say nothing else, the better a name can be learned.
    """
    sentences = _NAME if rng.random() < _NAMES_ONLY else templates(instrument, music)
    return _fill(sentences[rng.integers(len(sentences))], instrument, music)


def describe_family(instrument: Instrument, rng: np.random.Generator) -> str:
    """A sentence drawn at random that says the instrument's family alone."""
    return _FAMILY[rng.integers(len(_FAMILY))].format(family=FAMILIES[instrument.family])


def vocabulary(instrument: Instrument) -> Iterator[str]:
    """Sentences that hold every word of `describe`, for the vocabulary of a text branch that is trained before."""
    for music in _EXAMPLES:
        for sentence in templates(instrument, music):
            yield _fill(sentence, instrument, music)


def _fill(sentence: str, instrument: Instrument, music: Music) -> str:
    return sentence.format(
        name=instrument.name,
        family=FAMILIES[instrument.family],
        pitch=music.pitch,
        length=music.length,
        order=music.order,
        number=_NUMBERS.get(len(music.keys)),
    )
