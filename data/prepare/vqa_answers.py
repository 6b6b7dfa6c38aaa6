"""VQAv2's answers: the official normalisation, the vocabulary, the soft scores."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import combinations

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_DIGITS)}
_ARTICLES = {"a", "an", "the"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_PERIOD = re.compile(r"\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's I'd've I'm I've isn't it'd it'd've it'll let's ma'am mightn't mightn't've might've mustn't
    must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've she's should've shouldn't shouldn't've
    somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've
    something'll that's
    there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't
    what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
    why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# the annotators' share that makes an answer right; ten of them answer
_SCORES = (0.0, 0.3, 0.6, 0.9, 1.0)


def _misspellings() -> dict[str, str]:
    """A contraction without some of its apostrophes -> the contraction."""
    table = {}
    for word in _CONTRACTIONS.split():
        places = [place for place, character in enumerate(word) if character == "'"]
        for count in range(1, len(places) + 1):
            for dropped in combinations(places, count):
                kept = "".join(character for place, character in enumerate(word) if place not in dropped)
                table.setdefault(kept.lower(), word)
    return table


_MISSPELLINGS = _misspellings()


@lru_cache(maxsize=1 << 18)  # six million answers, few of them different
def normalise(answer: str) -> str:
    """The answer as VQA's evaluation compares it: no punctuation, no articles, numbers as digits, don't for dont."""
    text = original = answer.replace("\n", " ").replace("\t", " ").strip()
    number = _COMMA_IN_NUMBER.search(text) is not None
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in original or f" {mark}" in original
        text = text.replace(mark, "" if beside_space or number else " ")
    words = (_NUMBERS.get(word, word) for word in _PERIOD.sub("", text).lower().split())
    return " ".join(_MISSPELLINGS.get(word, word) for word in words if word not in _ARTICLES).replace(",", "")


def build_vocabulary(answers: Iterable[str], min_count: int) -> dict[str, int]:
    """Answer -> class of every (normalised) answer that occurs ``min_count`` times, the most frequent first.

    The empty one is one of the 3129: what "a" becomes, the answer to a question for a letter.
    """
    counts = Counter(answers)
    kept = [answer for answer, count in counts.items() if count >= min_count]
    return {answer: label for label, answer in enumerate(sorted(kept, key=lambda a: (-counts[a], a)))}


def soft_scores(answers: Iterable[str], vocabulary: Mapping[str, int]) -> dict[str, float]:
    """Answer -> score in (0, 1] of those annotators' answers that the vocabulary holds, the best first."""
    counts = Counter(answer for answer in map(normalise, answers) if answer in vocabulary)
    return {answer: _SCORES[min(count, 4)] for answer, count in counts.most_common()}
