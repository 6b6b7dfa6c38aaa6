"""Questions with a few answers to choose from, in one cell: ``question&&&answer&&&...&&&index of the right one``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from one_peace.data.errors import SampleError
from one_peace.data.sources import Source
from one_peace.data.target import Target, class_number

SEPARATOR = "&&&"


def parse_choices(cell: str, number: int) -> tuple[str, list[str], str]:
    """Question, ``number`` answers, and the text of the right one's index.

    Raises:
        SampleError: there are fewer or more parts.
    """
    question, *answers = cell.split(SEPARATOR)
    if len(answers) != number + 1:
        raise SampleError(
            f"{1 + len(answers)} parts separated by {SEPARATOR!r}: a question, {number} answers and the index of the "
            "right one are expected"
        )
    return question.strip(), [answer.strip() for answer in answers[:-1]], answers[-1].strip()


@dataclass(frozen=True)
class Choices(Source):
    """A text for each answer, as rows of one instance, "{question} answer: {answer}"."""

    number: int = 4

    def split(self, cells: Sequence[str], generator: Generator | None = None) -> list[list[str]]:
        question, answers, _ = parse_choices(cells[0], self.number)
        return [[f"{question} answer: {answer}" for answer in answers]]


class ChoiceTarget(Target):
    """``labels`` int64: the index of the right answer, from 0."""

    def __init__(self, column: str, number: int):
        self.columns = (column,)
        self.number = number

    def read(self, cells: Sequence[str], root: Path) -> dict[str, Tensor]:
        *_, index = parse_choices(cells[0], self.number)
        try:
            return {"labels": torch.tensor(class_number(index, self.number))}
        except SampleError:
            raise SampleError(
                f"index {index[:20]!r} of the right answer: expected a number from 0 to {self.number - 1}"
            ) from None
