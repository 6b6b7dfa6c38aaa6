"""What all metrics over a whole evaluation set have in common.

Shapes: N rows of a batch, R rows of the evaluation set.
"""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from one_peace.metrics.gather import Rows


class Meter(ABC):
    """Collects on each rank what is measured, brings it together, and measures.

    Attributes:
        larger_is_better: whether the best checkpoint is that of the largest value, which fairseq must be told.
    """

    larger_is_better = True

    @abstractmethod
    def names(self) -> list[str]:
        """What :meth:`score` reports."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything; call it before each pass."""

    @abstractmethod
    def gather(self) -> Any:
        """What all ranks collected, each item once; a collective: every rank has to call it.

        Raises:
            ValueError: no rank collected anything.
        """

    @abstractmethod
    def score(self, gathered: Any) -> dict[str, float]:
        """The metrics of what :meth:`gather` gave, by name, in percent."""

    def compute(self) -> dict[str, float]:
        """The metrics over all ranks; a collective like :meth:`gather`."""
        return self.score(self.gather())


class TableMeter(Meter):
    """Collects one row a sample, known by the sample's number; a sample seen twice counts once.

    Attributes:
        columns: names of what a row holds besides.
    """

    columns: tuple[str, ...]

    def __init__(self) -> None:
        self._rows = Rows()

    def reset(self) -> None:
        self._rows.clear()

    def __len__(self) -> int:
        """Samples added on this rank, repetitions included."""
        return len(self._rows)

    def add(self, id_N: Tensor, **columns: Tensor) -> None:
        """Add a batch: the samples' numbers int64[N], and each of ``columns`` N x ..."""
        self._rows.add(id_N, *(columns.pop(name) for name in self.columns))
        if columns:
            raise TypeError(f"{type(self).__name__} has no column {', '.join(columns)}")

    def gather(self) -> dict[str, Tensor]:
        """``id`` int64[R], ascending, and each of ``columns`` R x ..."""
        rows = self._rows.distinct()
        if not rows:
            raise ValueError("no sample was added on any rank")
        return dict(zip(("id", *self.columns), rows, strict=True))
