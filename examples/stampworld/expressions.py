"""Referring expressions, each of which means one thing of its scene only, and captions of whole scenes."""

from collections import Counter

import numpy as np

from one_peace.examples.stampworld.scene import Scene, Thing
from one_peace.examples.stampworld.words import (
    called,
    choose,
    definite,
    indefinite,
    left_of,
    listing,
    outermost,
    plural,
    size_extremes,
)

_PLACES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}
_NUMBERS = {2: "two", 3: "three", 4: "four"}
CAPTIONS = 5  # a scene
_TRIES = 5


def expressions(scene: Scene, thing: Thing) -> dict[str, list[str]]:
    """Sort (name, position, size, relation) -> expressions that mean ``thing`` and nothing else in the scene."""
    found: dict[str, list[str]] = {"name": [], "position": [], "size": [], "relation": []}
    for word in (*thing.sticker.words, "thing"):
        same = called(scene, word)
        if len(same) == 1:
            found["name"] += [definite(word)] if word != "thing" else []
            continue
        for side, farthest in outermost(scene, same).items():
            if farthest is thing:
                found["position"] += [f"the {side} {word}", f"the {word} {_PLACES[side]}"]
        found["size"] += [f"the {size} {word}" for size, extreme in size_extremes(same).items() if extreme is thing]
        found["relation"] += [
            f"the {word} to the left of {definite(other.sticker.name)}"
            for other in scene.things
            if len(called(scene, other.sticker.name)) == 1
            and [each for each in same if each is not other and not left_of(scene, other, each)] == [thing]
            and left_of(scene, thing, other)
        ]
    return found


def captions(scene: Scene, rng: np.random.Generator) -> list[str]:
    """`CAPTIONS` sentences about the scene, different ones if they can be had."""
    found: list[str] = []
    while len(found) < CAPTIONS:
        tries = [_caption(scene, rng) for _ in range(_TRIES)]
        found.append(next((text for text in tries if text not in found), tries[0]))
    return found


def _caption(scene: Scene, rng: np.random.Generator) -> str:
    across = sorted(scene.things, key=lambda thing: thing.centre[0])
    # the noun most often, sometimes a narrower or wider word
    words = [choose((t.sticker.noun, t.sticker.noun, t.sticker.name, t.sticker.kind), rng) for t in across]
    colour = scene.colour
    background = choose((f"on {indefinite(colour)} background", f"in front of {colour}", f"on {colour}"), rng)
    if len(across) == 1:
        return f"{choose(('', 'there is ', 'a picture of '), rng)}{indefinite(words[0])} {background}"
    sort = int(rng.integers(4))
    if sort == 0:
        return f"{listing([indefinite(word) for word in words])} {background}"
    if sort == 1:
        return f"from left to right: {listing(words)}, {background}"
    if sort == 2:
        return f"{_counted(scene)} {background}"
    sides = outermost(scene, scene.things)
    if not sides:
        return f"{listing([indefinite(word) for word in words])} together {background}"
    side = choose(sorted(sides), rng)
    return f"{indefinite(sides[side].sticker.noun)} {_PLACES[side]}, {_NUMBERS[len(across)]} things {background}"


def _counted(scene: Scene) -> str:
    """How many of each kind, in order of their first thing."""
    counts = Counter(thing.sticker.kind for thing in scene.things)
    return listing([indefinite(k) if n == 1 else f"{_NUMBERS[n]} {plural(k)}" for k, n in counts.items()])
