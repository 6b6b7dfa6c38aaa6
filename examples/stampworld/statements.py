"""Sentences about two pictures that are true or false, in NLVR2's manner: each is used for one pair of which it is true
and for one of which it is false, so that the sentence alone says nothing."""

from collections.abc import Sequence

import numpy as np

from one_peace.examples.stampworld.scene import COLOURS, Scene
from one_peace.examples.stampworld.words import called, choose, indefinite, plural

Pair = tuple[Scene, Scene]
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


Truths = dict[str, dict[str, bool]]  # template -> sentence -> whether it is true of a pair


def about_backgrounds(pair: Pair) -> Truths:
    """All sentences about the colours of the canvases."""
    left, right = (scene.colour for scene in pair)
    found: Truths = {"same": {"both images have the same background color": left == right}}
    for colour in COLOURS:
        background = indefinite(f"{colour} background")
        sentences = {
            "left": (f"the left image has {background}", left == colour),
            "right": (f"the right image has {background}", right == colour),
            "any": (f"at least one image has {background}", colour in (left, right)),
        }
        for template, (sentence, truth) in sentences.items():
            found.setdefault(template, {})[sentence] = truth
    return found


def about_things(pair: Pair, words: Sequence[str]) -> Truths:
    """All sentences about how many things there are, of any sort and of those called ``words``."""
    left, right = pair
    in_left, in_right = len(left.things), len(right.things)
    found: Truths = {
        "things": {
            "the left image has more things than the right one": in_left > in_right,
            "the right image has more things than the left one": in_right > in_left,
            "both images show the same number of things": in_left == in_right,
        }
    }
    for word in words:
        a, b = len(called(left, word)), len(called(right, word))
        one = indefinite(word)
        sentences = {
            "left": (f"the left image contains {one}", a > 0),
            "right": (f"the right image contains {one}", b > 0),
            "any": (f"at least one image contains {one}", a + b > 0),
            "both": (f"both images contain {one}", a > 0 and b > 0),
            "left only": (f"only the left image contains {one}", a > 0 and b == 0),
            "right only": (f"only the right image contains {one}", b > 0 and a == 0),
            "neither": (f"neither image contains {one}", a == b == 0),
            "more": (f"the left image contains more {plural(word)} than the right one", a > b),
        }
        for template, (sentence, truth) in sentences.items():
            found.setdefault(template, {})[sentence] = truth
        for total in range(1, 9):
            noun = word if total == 1 else plural(word)
            verb = "is" if total == 1 else "are"
            found.setdefault("total", {})[f"there {verb} {_NUMBERS[total]} {noun} in total"] = a + b == total
    return found


def state(pairs: tuple[Pair, Pair], rng: np.random.Generator) -> list[tuple[str, tuple[bool, bool]]]:
    """A sentence about backgrounds, where they tell the pairs apart, and one about things, else two of those: each is
    true of one of the pairs only, and comes with its truth for both."""
    words = sorted({w for pair in pairs for scene in pair for t in scene.things for w in t.sticker.words})
    backgrounds = _telling(*(about_backgrounds(pair) for pair in pairs))
    things = _telling(*(about_things(pair, words) for pair in pairs))
    chosen: dict[str, tuple[bool, bool]] = {}
    for templates in (backgrounds or things, things):
        new = [sorted(sentences.items() - chosen.items()) for sentences in templates.values()]
        # two different pairs differ in words: there always are some
        sentence, chosen[sentence] = choose(choose([some for some in new if some], rng), rng)
    return list(chosen.items())


def _telling(first: Truths, second: Truths) -> dict[str, dict[str, tuple[bool, bool]]]:
    """Template -> sentence -> its truth for both pairs, of those that tell them apart; templates without such are left
    out."""
    found = {}
    for template, sentences in first.items():
        both = {sentence: (truth, second[template][sentence]) for sentence, truth in sentences.items()}
        if telling := {sentence: truths for sentence, truths in both.items() if truths[0] != truths[1]}:
            found[template] = telling
    return found
