"""Work on many files at once: threads, because they wait for files most of the time."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

THREADS = 8


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], what: str, unit: str) -> list[_Result]:
    """``function`` of each item, in their order; what takes longer than two seconds shows a progress bar."""
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(function, items)
        return list(tqdm(results, total=len(items), desc=what, unit=unit, delay=2, file=sys.stderr))
