"""From the cells of a row to the cells that a modality's reader loads: one, several of a kind, or a few at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from one_peace.data.errors import SampleError

FRAME_SEPARATOR = "|"


@dataclass(frozen=True)
class Source:
    """A modality's columns: one, or one for each of its instances (the two pictures of a sentence).

    All rows give as many instances, and each instance as many cells.
    """

    columns: tuple[str, ...]

    def split(self, cells: Sequence[str], generator: Generator | None = None) -> list[list[str]]:
        """The cells to load, by instance; an instance of several is as many rows of its batch.

        Args:
            cells: one for each of ``columns``.
            generator: source of randomness; None = evaluation, nothing random.

        Raises:
            SampleError: the cells hold something else; the message is the reason.
        """
        return [[cell] for cell in cells]


@dataclass(frozen=True)
class Frames(Source):
    """A column of paths joined by ``|``, the pictures of a video in their order: ``number`` of them, evenly spaced.

    Each is one instance: in training drawn from its own stretch of the video, otherwise that stretch's middle. A video
    of fewer pictures gives some of them twice.
    """

    number: int = 1

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"{self.number} frames of a video: at least 1 is needed")

    def split(self, cells: Sequence[str], generator: Generator | None = None) -> list[list[str]]:
        """One instance for each frame that is used."""
        paths = [path for path in map(str.strip, cells[0].split(FRAME_SEPARATOR)) if path]
        if not paths:
            raise SampleError(f"no frame: paths joined by {FRAME_SEPARATOR!r} are expected")
        return [[paths[self._place(i, len(paths), generator)]] for i in range(self.number)]

    def _place(self, part: int, total: int, generator: Generator | None) -> int:
        if generator is None:
            return (2 * part + 1) * total // (2 * self.number)
        first = part * total // self.number
        last = max(first + 1, (part + 1) * total // self.number)
        return int(torch.randint(first, last, (), generator=generator))


Columns = Mapping[str, str | Source]
"""modality -> the name of its column, or how several cells are read"""


def as_sources(columns: Columns) -> dict[str, Source]:
    """A column's name stands for a source of that column."""
    return {name: Source((where,)) if isinstance(where, str) else where for name, where in columns.items()}
