"""Memory that training on a CPU keeps."""

import platform
import resource

import pytest
import torch

from one_peace.benchmarks.machine import in_fresh_process
from one_peace.tasks.memory import keep_freed_memory

SIDE = 4096  # 64 MiB: more than glibc keeps by itself


def pages_of_steps(device: str) -> list[int]:
    """Pages that each of sixteen steps, of the same two tensors, gets from the system."""
    keep_freed_memory(device)
    found = []
    for _ in range(16):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        x = torch.ones(SIDE, SIDE)
        y = x + 1
        del x, y
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return found


@pytest.fixture
def pages_of_tensors(monkeypatch) -> int:
    """Of those of a step; the environment says nothing of memory."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("glibc only")
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return 2 * 4 * SIDE**2 // resource.getpagesize()


def test_a_step_uses_what_the_one_before_it_freed(pages_of_tensors) -> None:
    found = in_fresh_process(pages_of_steps, "cpu")
    assert found[0] > 0.9 * pages_of_tensors
    # not 1/16: something small in a freed tensor's place makes the next one go elsewhere, until all have found theirs
    assert sum(found) < 0.5 * len(found) * pages_of_tensors


def test_elsewhere_and_where_the_user_decides_all_is_as_before(pages_of_tensors, monkeypatch) -> None:
    assert min(in_fresh_process(pages_of_steps, "cuda")) > 0.9 * pages_of_tensors
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert min(in_fresh_process(pages_of_steps, "cpu")) > 0.9 * pages_of_tensors
