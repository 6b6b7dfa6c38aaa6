"""Sentences about two pictures that are true or false, in NLVR2's manner: each is used for one pair of which it is true
and for one of which it is false, so that the sentence alone says nothing."""

from collections.abc import Sequence

import numpy as np

from one_peace.examples.stampworld.scene import COLOURS, Scene
from one_peace.examples.stampworld.words import called, choose, indefinite, plural

Pair = tuple[Scene, Scene]
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def truths(pair: Pair, words: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Template -> sentence -> whether it is true of the pair, for all sentences about ``words``."""
    left, right = pair
    in_left, in_right = len(left.things), len(right.things)
    found: dict[str, dict[str, bool]] = {
        "things": {
            "the left image has more things than the right one": in_left > in_right,
            "the right image has more things than the left one": in_right > in_left,
            "both images show the same number of things": in_left == in_right,
        },
        "same background": {"both images have the same background color": left.colour == right.colour},
        "backgrounds": {
            f"the {side} image has a {colour} background": scene.colour == colour
            for side, scene in (("left", left), ("right", right))
            for colour in COLOURS
        },
    }
    for word in words:
        a, b = len(called(left, word)), len(called(right, word))
        one = indefinite(word)
        sentences = {
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


def state(pairs: tuple[Pair, Pair], count: int, rng: np.random.Generator) -> list[tuple[str, tuple[bool, bool]]]:
    """``count`` sentences, each true of one of the pairs only, with its truth for both; of different templates where
    there are so many."""
    words = sorted({w for pair in pairs for scene in pair for t in scene.things for w in t.sticker.words})
    both = [truths(pair, words) for pair in pairs]
    telling = {
        template: [sentence for sentence, truth in sentences.items() if truth != both[1][template][sentence]]
        for template, sentences in both[0].items()
    }
    templates = sorted(template for template, sentences in telling.items() if sentences)
    chosen: list[str] = []
    for i in rng.permutation(len(templates))[:count]:
        chosen.append(choose(telling[templates[i]], rng))
    others = [s for template in templates for s in telling[template] if s not in chosen]
    while len(chosen) < count:  # two different pairs tell the words of their things apart: there always are others
        chosen.append(others.pop(int(rng.integers(len(others)))))
    truth = [{s: t for sentences in each.values() for s, t in sentences.items()} for each in both]
    return [(sentence, (truth[0][sentence], truth[1][sentence])) for sentence in chosen]
