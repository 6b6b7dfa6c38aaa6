"""How long samples are, without decoding them: for batches within a budget and of similar length."""

import math
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from one_peace.data.errors import DataError, SampleError
from one_peace.data.manifest import Manifest
from one_peace.data.sources import Columns, as_sources
from one_peace.data.threads import THREADS

if TYPE_CHECKING:  # modalities import this package, not the other way round
    from one_peace.modalities.reader import Reader

DURATION = "duration"  # a manifest's column of seconds, if it has one: saves opening every sound

_BUCKETS_PER_DOUBLING = 6  # samples of one bucket differ by less than 13 % in length
_ROWS_A_TASK = 256


def count_units(manifest: Manifest, columns: Columns, readers: Mapping[str, "Reader"], root: Path) -> np.ndarray:
    """int64[rows]: the units of each row over all modalities, as the readers estimate them.

    A row that cannot be read counts 1: whoever loads it says what is wrong.
    """

    sources = as_sources(columns)

    def units(row: int) -> int:
        try:
            cells = dict(zip(manifest.columns, manifest[row], strict=True))
            duration = _seconds(cells.get(DURATION, ""))
            return sum(
                readers[modality].estimate_units(cell, root, duration)
                for modality, source in sources.items()
                for instance in source.split([cells[column] for column in source.columns])
                for cell in instance
            )
        except (DataError, SampleError):
            return 1

    def units_of(rows: range) -> list[int]:
        return [units(row) for row in rows]

    counts: list[int] = []
    tasks = [range(i, min(i + _ROWS_A_TASK, len(manifest))) for i in range(0, len(manifest), _ROWS_A_TASK)]
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=len(manifest), desc=f"lengths of {manifest.path.name}", unit="row", delay=2, file=sys.stderr) as bar,
    ):
        for part in pool.map(units_of, tasks):
            counts += part
            bar.update(len(part))
    return np.array(counts, dtype=np.int64)


def length_buckets(units: np.ndarray) -> np.ndarray:
    """int64[rows]: a number that samples of similar length share, ascending with the length."""
    return np.floor(np.log2(np.maximum(units, 1)) * _BUCKETS_PER_DOUBLING).astype(np.int64)


def _seconds(cell: str) -> float | None:
    try:
        seconds = float(cell)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
