"""Work on many items that several processes share."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import torch
from tqdm import tqdm

Item = TypeVar("Item")
Done = TypeVar("Done")


def in_processes(
    work: Callable[[Item], Done], items: Sequence[Item], title: str, unit: str, processes: int | None = None
) -> Iterator[Done]:
    """What ``work`` makes of each item, in their order, with a progress bar; by one process a CPU if not told how many.

    ``work``, items and what is made of them are pickled; an error that ``work`` raises is raised here.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or os.cpu_count(), context, torch.set_num_threads, (1,)) as pool:
        yield from tqdm(pool.map(work, items, chunksize=16), title, len(items), unit=unit)
