"""Lengths of a manifest's rows: summed over modalities, row by row, whatever a row holds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.lengths import DURATION, count_units, length_buckets
from one_peace.data.manifest import Manifest
from one_peace.modalities.reader import Reader


class CellReader(Reader):
    """A cell counts its characters, or its seconds where the manifest tells them."""

    def load(self, cell: str, root: Path, generator: torch.Generator | None = None) -> torch.Tensor:
        raise AssertionError("lengths are counted without loading")

    def num_units(self, value: torch.Tensor) -> int:
        return len(value)

    def estimate_units(self, cell: str, root: Path, duration: float | None = None) -> int:
        return len(cell) if duration is None else int(1000 * duration)


READER = CellReader(CellReader.Config())


def manifest(tmp_path, lines, columns):
    path = tmp_path / "m.tsv"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return Manifest(path, columns, optional=[DURATION])


@pytest.mark.parametrize("rows_a_task", [1, 3, 1000])
def test_rows_are_summed_over_modalities_and_stay_in_order(tmp_path, monkeypatch, rows_a_task):
    monkeypatch.setattr("one_peace.data.lengths._ROWS_A_TASK", rows_a_task)
    rows = [("x" * (i % 7), "y" * (i % 5)) for i in range(100)]
    source = manifest(tmp_path, ["a\tb", *("\t".join(row) for row in rows)], ["a", "b"])
    units = count_units(source, {"first": "a", "second": "b"}, {"first": READER, "second": READER}, tmp_path)
    assert units.dtype == np.int64 and units.tolist() == [len(a) + len(b) for a, b in rows]
    assert count_units(source, {"first": "a"}, {"first": READER}, tmp_path).tolist() == [len(a) for a, _ in rows]


def test_a_row_that_cannot_be_read_counts_one(tmp_path):
    source = manifest(tmp_path, ["a\tb", "xxx\ty", "no second cell", b"\xff\ty", "zz\ty"], ["a"])
    assert count_units(source, {"m": "a"}, {"m": READER}, tmp_path).tolist() == [3, 1, 1, 2]


def test_a_column_of_durations_is_used_where_it_makes_sense(tmp_path):
    cells = ["2.5", "", "long", "nan", "inf", "-1", "0"]
    source = manifest(tmp_path, ["a\tduration", *(f"four\t{cell}" for cell in cells)], ["a"])
    assert count_units(source, {"m": "a"}, {"m": READER}, tmp_path).tolist() == [2500] + [4] * 6


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_buckets_rise_with_the_length_and_hold_similar_ones(lengths):
    units = np.sort(lengths)
    buckets = length_buckets(units)
    assert (np.diff(buckets) >= 0).all()
    for bucket in set(buckets):
        members = np.maximum(units[buckets == bucket], 1)
        assert members.max() < 1.13 * members.min()
