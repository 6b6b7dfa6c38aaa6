"""Memory that training and embedding on a CPU keep."""

import ctypes
import multiprocessing
import os
import resource
from pathlib import Path

import pytest

from one_peace.benchmarks.machine import in_fresh_process
from one_peace.models.memory import keep_freed_memory

BYTES = 64 << 20  # more than glibc keeps by itself
STEPS = 16
PAGES = 2 * BYTES // resource.getpagesize() * STEPS

pytestmark = pytest.mark.usefixtures("glibc")


def pages_of_steps() -> int:
    """Pages that steps of two large pieces of memory get from the system."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        x, y = bytearray(b"x") * BYTES, bytearray(b"y") * BYTES
        del x, y
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def training(device: str) -> int:
    keep_freed_memory(device)
    return pages_of_steps()


def training_with_a_forked_loader() -> tuple[int, int, int]:
    """Pages that the loader's steps get; and bytes held before and after the fork."""
    training("cpu")
    held = resident()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(pages_of_steps), held, resident()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_step_uses_what_the_one_before_it_freed() -> None:
    # not 1/16: something small in the place of a freed piece makes the next one go elsewhere, until all have theirs
    assert in_fresh_process(training, "cpu") < 0.5 * PAGES


def test_on_a_gpu_all_is_as_before() -> None:
    assert in_fresh_process(training, "cuda") > 0.9 * PAGES


@pytest.mark.parametrize("tunables", ["", "glibc.malloc.tcache_count=0:glibc.malloc.trim_threshold=131072"])
def test_who_sets_memory_up_is_left_alone(tunables: str, monkeypatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    assert in_fresh_process(training, "cpu") > 0.9 * PAGES


def test_who_sets_up_something_else_is_not(monkeypatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
    assert in_fresh_process(training, "cpu") < 0.5 * PAGES


class Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    _fields_ = [("before", ctypes.c_size_t * 6), ("fsmblks", ctypes.c_size_t), ("after", ctypes.c_size_t * 3)]


def small_pieces_kept_apart(device: str) -> int:
    """Bytes of freed small pieces that glibc joins with nothing, thread caches aside, which hold few of a size."""
    keep_freed_memory(device)
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    libc.mallinfo2.restype = Mallinfo
    for piece in [libc.malloc(64) for _ in range(1000)]:
        libc.free(piece)
    return libc.mallinfo2().fsmblks


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc 2.33 and later say")
def test_what_lies_between_freed_pieces_joins_them() -> None:
    assert in_fresh_process(small_pieces_kept_apart, "cuda") > 10_000
    assert in_fresh_process(small_pieces_kept_apart, "cpu") == 0


@pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc/self/statm").exists(), reason="Linux only")
def test_a_forked_loader_neither_keeps_memory_nor_holds_ours() -> None:
    pages, before, after = in_fresh_process(training_with_a_forked_loader)
    assert pages > 0.9 * PAGES
    assert after < before - 1.5 * BYTES
