"""What can happen in the world, and how people put it into words.

A scene is either a `Group` ("three small red stars") or a `Pair` ("a red star above a blue circle"). Pictures
(`picture.py`), sounds (`sound.py`) and captions (here) are three views of one scene; each alone tells the scene fully,
which is what lets a model connect sounds with pictures through captions alone.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

COLOURS = ("red", "yellow", "green", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross")
SIZES = ("small", "large")
COUNTS = (1, 2, 3)
RELATIONS = ("left", "above", "inside")

# Synonyms: singular nouns; adjectives; number words; each first entry is the canonical word.
NOUNS = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "plus sign"),
}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
NUMBER_WORDS = {1: ("one", "a single"), 2: ("two", "a pair of"), 3: ("three", "a trio of")}
OPENINGS = ("", "", "there is ", "we have ", "here we find ")
# Each relation in both readings: "first R second" and "second R first".
RELATION_WORDS = {
    "left": (("left of", "to the left of", "on the left of"), ("right of", "to the right of", "on the right of")),
    "above": (("above", "over", "on top of"), ("below", "under", "beneath")),
    "inside": (("inside", "within", "in the middle of"), ("around", "surrounding", "enclosing")),
}


@dataclass(frozen=True)
class Thing:
    """One coloured shape."""

    colour: str
    shape: str


@dataclass(frozen=True)
class Group:
    """`count` equal things of one size."""

    thing: Thing
    count: int
    size: str


@dataclass(frozen=True)
class Pair:
    """`first` is left of, above or inside `second`; their colours differ, so that a thing inside is visible."""

    first: Thing
    relation: str
    second: Thing


Scene = Group | Pair


def all_groups() -> list[Scene]:
    """Every group there is, in a fixed order."""
    return [Group(thing, count, size) for thing, count, size in product(_all_things(), COUNTS, SIZES)]


def all_pairs() -> list[Scene]:
    """Every pair there is, in a fixed order; mirrored readings of one scene appear once."""
    return [
        Pair(first, relation, second)
        for relation, first, second in product(RELATIONS, _all_things(), _all_things())
        if first.colour != second.colour
    ]


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Puts a scene into words; synonyms, word order and punctuation are drawn from `rng`, the meaning is not."""
    opening = _choose(OPENINGS, rng)
    body = _group_words(scene, rng) if isinstance(scene, Group) else _pair_words(scene, rng)
    if isinstance(scene, Group) and scene.count > 1:
        opening = opening.replace("there is", "there are")
    sentence = opening + body
    if rng.random() < 0.5:
        sentence = sentence[0].upper() + sentence[1:] + "."
    return sentence


def _all_things() -> list[Thing]:
    return [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES)]


def _group_words(group: Group, rng: np.random.Generator) -> str:
    noun = _choose(NOUNS[group.thing.shape], rng)
    words = f"{_choose(SIZE_WORDS[group.size], rng)} {group.thing.colour} {noun if group.count == 1 else _plural(noun)}"
    if group.count == 1 and rng.random() < 0.5:
        return f"a {words}"
    return f"{_choose(NUMBER_WORDS[group.count], rng)} {words}"


def _pair_words(pair: Pair, rng: np.random.Generator) -> str:
    first, second = (f"a {thing.colour} {_choose(NOUNS[thing.shape], rng)}" for thing in (pair.first, pair.second))
    forward, backward = RELATION_WORDS[pair.relation]
    if rng.random() < 0.5:
        return f"{first} {_choose(forward, rng)} {second}"
    return f"{second} {_choose(backward, rng)} {first}"


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def _choose(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
