"""What a sample's answer is: cells of a manifest -> tensors that criterions and metrics compare with."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from one_peace.data.errors import SampleError

# seven digits are enough for any number of classes, and int() of a cell that is a book takes minutes
_MAX_DIGITS = 7


class Target(ABC):
    """Reads the answer of one sample.

    Attributes:
        columns: the columns it reads; messages name the first.
    """

    columns: tuple[str, ...]

    @abstractmethod
    def read(self, cells: Sequence[str], root: Path) -> dict[str, Tensor]:
        """Tensors of one sample by name; what is no whole number in float64.

        Args:
            cells: one for each of ``columns``.
            root: folder that relative paths start from.

        Raises:
            SampleError: the cells are no such answer; the message is the reason.
        """

    def collate(self, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """B samples -> one tensor a name, B x ..."""
        return {name: torch.stack([target[name] for target in targets]) for name in targets[0]}


class ClassTarget(Target):
    """``labels`` int64: the class a cell gives by its number or by its name.

    Args:
        column: the cell's column.
        num_classes: numbers are less than that.
        names: of all classes in their order; a name that several have cannot be used.
    """

    def __init__(self, column: str, num_classes: int, names: Sequence[str] = ()):
        self.columns = (column,)
        self.num_classes = num_classes
        self._number_of: dict[str, int | None] = {}
        for number, name in enumerate(names):
            self._number_of[name] = None if name in self._number_of else number

    def read(self, cells: Sequence[str], root: Path) -> dict[str, Tensor]:
        return {"labels": torch.tensor(self.number(cells[0].strip()))}

    def number(self, cell: str) -> int:
        """The class that a text gives."""
        if self._number_of and not is_number(cell):
            number = self._number_of.get(cell, -1)
            if number is None:
                raise SampleError(f"several classes are called {cell!r}: give the class's number")
            if number >= 0:
                return number
        return class_number(cell, self.num_classes)


class MultiLabelTarget(ClassTarget):
    """``scores`` float64[num_classes], 1 for each of the classes that a cell lists, separated by commas."""

    def read(self, cells: Sequence[str], root: Path) -> dict[str, Tensor]:
        scores = torch.zeros(self.num_classes, dtype=torch.float64)
        for part in cells[0].split(","):
            scores[self.number(part.strip())] = 1
        return {"scores": scores}


def is_number(cell: str) -> bool:
    """Whether a cell is written as a whole number that might be a class's."""
    return cell.isascii() and cell.isdigit() and len(cell) <= _MAX_DIGITS


def class_number(cell: str, num_classes: int) -> int:
    """The number of a class; SampleError unless it is one of 0 to ``num_classes`` - 1."""
    if not is_number(cell):
        raise SampleError(f"unknown class {cell[:80]!r}: expected a number from 0 to {num_classes - 1}")
    if int(cell) >= num_classes:
        raise SampleError(f"class {cell} is out of range: there are {num_classes} classes, from 0")
    return int(cell)


def finite_number(text: str) -> float | None:
    """The number that a text is, None if it is none or infinite."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
