"""Putting things into words, and which thing of a scene some words mean."""

import re
from collections.abc import Sequence

import numpy as np

from one_peace.examples.stampworld.scene import Scene, Thing

# By how much a thing must lie farther out, as a share of the canvas, or be larger, than the next to be called so.
FARTHER = 0.12
LARGER = 1.4

_SAME_PLURAL = ("deer", "fish", "sheep", "trout", "bison", "caribou")
_IS_PLURAL = re.compile(r"(?<!s)(?<!u)(?<!i)s$|ies$")
_NO_ARTICLE = ("mercury", "venus", "earth", "mars", "jupiter", "saturn", "uranus", "neptune", "pluto")


def plural(words: str) -> str:
    """Several of ``words``."""
    if words.endswith(_SAME_PLURAL) or words in _NO_ARTICLE or _IS_PLURAL.search(words):
        return words
    if words.endswith("y") and words[-2] not in "aeiou":
        return f"{words[:-1]}ies"
    return words + ("es" if words.endswith(("s", "x", "ch", "sh")) else "s")


def indefinite(words: str) -> str:
    """``words`` with a or an, or what else goes before them."""
    if words in _NO_ARTICLE:
        return words
    if _IS_PLURAL.search(words):
        return f"some {words}"
    return f"{'an' if words[0] in 'aeio' or re.match('u[^n]', words) else 'a'} {words}"


def definite(words: str) -> str:
    """``words`` with the, but for proper names."""
    return words if words in _NO_ARTICLE else f"the {words}"


def listing(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def called(scene: Scene, word: str) -> list[Thing]:
    """The things of the scene that ``word`` may mean; "thing" means any."""
    return [thing for thing in scene.things if word == "thing" or word in thing.sticker.words]


def outermost(scene: Scene, things: Sequence[Thing]) -> dict[str, Thing]:
    """Side (left, right, top, bottom) -> the one that clearly lies farthest there; sides without such a one are left
    out."""
    found = {}
    for axis, (low, high) in enumerate((("left", "right"), ("top", "bottom"))):
        order = sorted(things, key=lambda thing: thing.centre[axis])
        gap = FARTHER * scene.size[axis]
        if len(order) > 1 and order[1].centre[axis] - order[0].centre[axis] >= gap:
            found[low] = order[0]
        if len(order) > 1 and order[-1].centre[axis] - order[-2].centre[axis] >= gap:
            found[high] = order[-1]
    return found


def size_extremes(things: Sequence[Thing]) -> dict[str, Thing]:
    """largest, smallest -> the one that clearly is."""
    order = sorted(things, key=lambda thing: thing.area)
    found = {}
    if len(order) > 1 and order[-1].area >= LARGER * order[-2].area:
        found["largest"] = order[-1]
    if len(order) > 1 and order[1].area >= LARGER * order[0].area:
        found["smallest"] = order[0]
    return found


def left_of(scene: Scene, thing: Thing, other: Thing) -> bool:
    """Whether ``thing`` clearly lies to the left of ``other``."""
    return other.centre[0] - thing.centre[0] >= FARTHER * scene.size[0]


def choose(options: Sequence, rng: np.random.Generator):
    """One of the options."""
    return options[int(rng.integers(len(options)))]
