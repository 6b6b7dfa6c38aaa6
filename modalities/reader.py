"""What the data side knows of a modality: how one manifest cell becomes a tensor, and tensors become a batch.

Shape legend: B samples, L units (tokens, patches, frames; without CLS), S image side, N waveform samples.
"""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from torch import BoolTensor, Generator, Tensor

from one_peace.data.collate import pad_stack, padding_mask
from one_peace.data.errors import SampleError
from one_peace.data.masking import random_mask


def option(default: Any = MISSING, *, help: str, low: float | None = None, high: float | None = None) -> Any:
    """A reader's option: a dataclass field with a help text and, for numbers, the inclusive range that is accepted."""
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass
class ReaderConfig:
    """Base of the readers' options: checks every field's type and range.

    Raises:
        ValueError: a value of the wrong type or out of range.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for spec in fields(self):
            value, hint = getattr(self, spec.name), hints[spec.name]
            accepted = get_args(hint) if get_origin(hint) in (Union, UnionType) else (get_origin(hint) or hint,)
            if float in accepted and type(value) is int:
                value = float(value)
                setattr(self, spec.name, value)
            if type(value) not in accepted:  # not isinstance: True is no number of pixels
                names = " or ".join(kind.__name__ for kind in accepted)
                raise ValueError(f"{spec.name}={value!r}: must be of type {names}")
            if value is None:
                continue
            low, high = spec.metadata.get("low"), spec.metadata.get("high")
            # written so that NaN fails too
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                raise ValueError(f"{spec.name}={value!r}: must be between {low} and {high}")


class Reader(ABC):
    """Loads, measures, masks and collates the values of one modality."""

    Config: ClassVar[type[ReaderConfig]] = ReaderConfig
    # what `mask` offers; the first is the default of the modality
    strategies: ClassVar[tuple[str, ...]] = ("random",)
    pad_value: float = 0

    def __init__(self, config: ReaderConfig):
        self.config = config

    @classmethod
    def from_options(cls, flat: Mapping[str, Any], nested: Mapping[str, Any] | None = None) -> Self:
        """Build the reader from a task's flags (``flat``: those of other parts are ignored) and the entry of its
        ``readers`` mapping (``nested``: wins, and every key must be an option of this reader).

        Raises:
            ValueError: unknown, missing or invalid option.
        """
        known = {spec.name: spec for spec in fields(cls.Config)}
        for key in nested or {}:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{cls.__name__} has no option {key!r}{hint} (options: {', '.join(known) or 'none'})")
        values = {key: flat[key] for key in known if flat.get(key) is not None} | dict(nested or {})
        missing = [key for key, spec in known.items() if spec.default is MISSING and not values.get(key)]
        if missing:
            raise ValueError(
                f"{cls.__name__} needs --{missing[0].replace('_', '-')}: {known[missing[0]].metadata['help']}"
            )
        return cls(cls.Config(**values))

    @abstractmethod
    def load(self, cell: str, root: Path, generator: Generator | None = None) -> Tensor:
        """Read one manifest cell.

        Args:
            cell: the cell as it stands in the manifest.
            root: folder that relative paths start from.
            generator: source of random augmentation; None = evaluation, no augmentation.

        Raises:
            SampleError: the sample cannot be used; the message is the reason.
        """

    def key(self, cell: str) -> str:
        """The same for cells that `load` makes the same of: measured as one item, by recall."""
        return cell

    def check(self, cell: str, root: Path) -> None:
        """Look at a manifest cell without reading what it names; all of a validation set are, before training begins.

        Raises:
            SampleError: it plainly cannot be loaded, such as a path that leads nowhere.
        """
        return

    @abstractmethod
    def num_units(self, value: Tensor) -> int:
        """Length of the sequence that the adapter makes of ``value``, without CLS."""

    def estimate_units(self, cell: str, root: Path, duration: float | None = None) -> int:
        """`num_units` of what ``cell`` names, without decoding it, and at least 1; a guess will do, and no file is so
        bad that it raises. Batches within a budget (``--max-tokens``) count samples by it.

        Args:
            cell: the cell as it stands in the manifest.
            root: folder that relative paths start from.
            duration: seconds, of a manifest that has a column of that name.
        """
        return 1

    def mask(
        self,
        value: Tensor,
        strategy: str,
        ratio: float,
        generator: Generator | None = None,
        previous: BoolTensor | None = None,
    ) -> BoolTensor:
        """Choose the units to mask: bool[num_units], True = masked.

        Args:
            value: what `load` returned.
            strategy: one of ``strategies``.
            ratio: share of the units, in [0, 1).
            generator: source of randomness.
            previous: the mask of the same value in the pass of this modality alone, for strategies that refer to it.
        """
        self.check_strategy(strategy)
        if strategy != "random":
            raise NotImplementedError(f"{type(self).__name__}.mask: strategy {strategy!r} is announced and not there")
        return random_mask(self.num_units(value), ratio, generator)

    @classmethod
    def check_strategy(cls, strategy: str) -> None:
        """ValueError unless ``strategy`` is one of this reader's."""
        if strategy not in cls.strategies:
            near = difflib.get_close_matches(strategy, cls.strategies, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{cls.__name__} has no mask strategy {strategy!r}{hint} (strategies: {', '.join(cls.strategies)})"
            )

    def collate(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """Stack B values.

        Returns:
            ``{"values": B x ..., padded with pad_value, real numbers as float32, "padding_mask": bool[B, 1 + L], True =
            padding, CLS first}``.
        """
        stacked = pad_stack(values, self.pad_value)
        return {
            "values": stacked.float() if stacked.is_floating_point() else stacked,
            "padding_mask": padding_mask([self.num_units(value) for value in values]),
        }

    def adapter_settings(self) -> dict[str, object]:
        """Facts that the adapter's config must take from the data."""
        return {}


def media_path(cell: str, root: Path) -> Path:
    """The file that a cell names, relative to ``root`` unless absolute.

    Raises:
        SampleError: the cell is empty or does not name an existing regular file.
    """
    if not cell.strip():
        raise SampleError("the path is empty")
    path = root / cell
    try:
        if path.is_file():
            return path
        reason = "is not a regular file" if path.exists() else "no such file"
    except (OSError, ValueError) as error:  # a NUL byte, a name too long, a folder without permission
        reason = str(error)
    raise SampleError(f"{str(path)!r}: {reason}")


def require_previous(strategy: str, previous: BoolTensor | None) -> BoolTensor:
    """``previous``, or a ValueError that names the strategy that cannot do without it."""
    if previous is None:
        raise ValueError(
            f"mask strategy {strategy!r} refers to the pass of this modality alone, which masks nothing here"
        )
    return previous
