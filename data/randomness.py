"""Libraries that draw from torch's global generator, made to follow one of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


@contextmanager
def lend(generator: Generator) -> Iterator[None]:
    """Inside, torch's CPU generator continues from one number of ``generator``; it and CUDA's are then as they were."""
    seed = int(torch.randint(0, 2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
