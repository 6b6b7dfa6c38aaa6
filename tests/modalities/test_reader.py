"""What every reader inherits: checked options, the default mask and the default batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import pytest
import torch

from one_peace.modalities.reader import Reader, ReaderConfig, option


@dataclass
class VectorConfig(ReaderConfig):
    size: int = option(4, low=1, high=8, help="numbers a vector")
    scale: float = option(1.0, low=0, help="factor")
    label: Optional[str] = option(None, help="a name")
    exact: bool = option(False, help="a switch")


class VectorReader(Reader):
    Config = VectorConfig

    def load(self, cell: str, root: Path, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.tensor([float(number) for number in cell.split()]).view(-1, 1)

    def num_units(self, value: torch.Tensor) -> int:
        return len(value)


def test_nested_options_win_over_flags_and_flags_of_others_are_ignored():
    reader = VectorReader.from_options({"size": 3, "scale": 2, "label": None, "lr": [1]}, {"size": 5, "exact": True})
    assert reader.config == VectorConfig(size=5, scale=2.0, label=None, exact=True)
    assert type(reader.config.scale) is float
    assert VectorReader.from_options({}).config == VectorConfig()


@pytest.mark.parametrize(
    ("nested", "words"),
    [
        ({"size": 0}, "size=0: must be between 1 and 8"),
        ({"size": 9}, "between"),
        ({"size": True}, "type int"),
        ({"size": "4"}, "type int"),
        ({"scale": float("nan")}, "between"),
        ({"label": 3}, "type str or NoneType"),
        ({"exact": 1}, "type bool"),
        ({"sise": 3}, "no option 'sise'; did you mean 'size'"),
    ],
)
def test_wrong_options(nested, words):
    with pytest.raises(ValueError, match=words):
        VectorReader.from_options({}, nested)


def test_default_mask_and_batch():
    reader = VectorReader.from_options({})
    values = [reader.load(cell, Path()) for cell in ("1 2 3 4", "5")]
    assert reader.mask(values[0], "random", 0.5, torch.Generator().manual_seed(0)).sum() == 2
    with pytest.raises(ValueError, match="no mask strategy 'span'"):
        reader.mask(values[0], "span", 0.5)
    batch = reader.collate(values)
    assert batch["values"].tolist() == [[[1], [2], [3], [4]], [[5], [0], [0], [0]]]
    assert batch["padding_mask"].tolist() == [[False] * 5, [False, False, True, True, True]]


def test_a_reader_that_does_not_estimate_counts_one():
    assert VectorReader.from_options({}).estimate_units("1 2 3", Path(), 2.5) == 1


def test_a_strategy_without_a_mask_is_not_masked_at_random():
    class Spans(VectorReader):
        strategies = ("span",)

    reader = Spans.from_options({})
    with pytest.raises(NotImplementedError, match="strategy 'span' is announced and not there"):
        reader.mask(reader.load("1 2 3 4", Path()), "span", 0.5)


def test_batches_are_float32_whatever_was_loaded():
    reader = VectorReader.from_options({})
    assert reader.collate([torch.ones(2, 1, dtype=torch.float64)])["values"].dtype == torch.float32
    assert reader.collate([torch.ones(2, 1, dtype=torch.int64)])["values"].dtype == torch.int64
