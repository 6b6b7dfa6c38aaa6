"""Questions about a scene, balanced: a question's commonest answer is given no more often than the second commonest."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from one_peace.examples.stampworld.scene import Scene
from one_peace.examples.stampworld.words import (
    called,
    choose,
    definite,
    indefinite,
    left_of,
    outermost,
    plural,
    size_extremes,
)

ANNOTATORS = 10


@dataclass(frozen=True)
class Question:
    """A question, what it begins with and what sort of answer it has (both in VQA's terms), the answer, and, where
    people may see it more broadly, the word that some give instead."""

    text: str
    type: str
    answer_type: str
    answer: str
    broader: str | None = None

    def answers(self, rng: np.random.Generator) -> list[str]:
        """What `ANNOTATORS` people answer, in any order."""
        broad = 3 if self.broader else 0
        given = [self.answer] * (ANNOTATORS - broad) + [str(self.broader)] * broad
        return [given[i] for i in rng.permutation(ANNOTATORS)]


def ask(scene: Scene, other: Scene, rng: np.random.Generator) -> list[Question]:
    """Everything that is asked about ``scene``. What is in ``other``, any scene, is asked for too: so a word in a
    question says nothing about the answer."""
    found = [_colour(scene), *_which(scene)]
    counted = choose(_words(choose((scene, scene, scene, other), rng), rng), rng)
    found += [_count(scene, word) for word in ("thing", counted)]
    found.append(_there(scene, other, rng))
    if order := _order(scene, rng):
        found.append(order)
    return found


def balance(questions: Sequence[Question]) -> list[int]:
    """The places of those to keep: of each text, at most as many with the commonest answer as with the second."""
    answers: dict[str, Counter[str]] = {}
    for question in questions:
        answers.setdefault(question.text, Counter())[question.answer] += 1
    kept, used = [], Counter[tuple[str, str]]()
    for place, question in enumerate(questions):
        ranks = answers[question.text].most_common(2)
        most = ranks[1][1] if len(ranks) > 1 else 0
        if used[question.text, question.answer] < most:
            used[question.text, question.answer] += 1
            kept.append(place)
    return kept


def spread(questions: Iterable[Question], count: int, rng: np.random.Generator) -> list[Question]:
    """At most ``count`` of a scene's questions, of as many types as possible."""
    groups: dict[str, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.type, []).append(question)
    order = sorted(groups)
    return [choose(groups[order[i]], rng) for i in rng.permutation(len(order))[:count]]


def _colour(scene: Scene) -> Question:
    return Question("What color is the background?", "what color is the", "other", scene.colour)


def _which(scene: Scene) -> list[Question]:
    places = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}
    texts = [(f"What is {places[side]}?", thing) for side, thing in outermost(scene, scene.things).items()]
    texts += [(f"What is the {size} thing?", thing) for size, thing in size_extremes(scene.things).items()]
    stickers = [(text, thing.sticker) for text, thing in texts]
    return [
        Question(text, "what is the", "other", sticker.noun, sticker.kind if sticker.kind != sticker.noun else None)
        for text, sticker in stickers
    ]


def _count(scene: Scene, word: str) -> Question:
    return Question(f"How many {plural(word)} are there?", "how many", "number", str(len(called(scene, word))))


def _words(scene: Scene, rng: np.random.Generator) -> tuple[str, ...]:
    return choose(scene.things, rng).sticker.words


def _there(scene: Scene, other: Scene, rng: np.random.Generator) -> Question:
    absent = [word for thing in other.things for word in thing.sticker.words if not called(scene, word)]
    word = choose(absent, rng) if absent and rng.random() < 0.5 else choose(_words(scene, rng), rng)
    verb = "Are" if indefinite(word).startswith("some ") else "Is"
    return Question(f"{verb} there {indefinite(word)}?", "is there a", "yes/no", "yes" if called(scene, word) else "no")


def _order(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Whether one thing is left of another, of two with a noun of their own."""
    single = [thing for thing in scene.things if len(called(scene, thing.sticker.noun)) == 1]
    pairs = [(a, b) for a in single for b in single if left_of(scene, a, b) or left_of(scene, b, a)]
    if not pairs:
        return None
    first, second = choose(pairs, rng)
    text = f"Is {definite(first.sticker.noun)} to the left of {definite(second.sticker.noun)}?"
    return Question(text, "is the", "yes/no", "yes" if left_of(scene, first, second) else "no")
