"""What training and embedding on a CPU ask of the C library's memory allocator."""

import ctypes
import functools
import os
import platform

_MXFAST, _TRIM_THRESHOLD, _MMAP_THRESHOLD = 1, -1, -3  # numbers of mallopt(3)
_MIB = 1 << 20


@functools.cache  # once a process, not once an epoch
def keep_freed_memory(device_type: str) -> None:
    """On a CPU: what a step frees is the next one's, instead of the system's in between (glibc; others have no such).

    A step, or a batch that is embedded, frees nearly all that it asked for. glibc gives that back and gets it again
    page by page, each cleared by the system. After a few steps the process has held about what it would have anyway.
    Processes forked from this one, which load data, start without what is free here and give back as usual. Whoever
    sets glibc's own variables for that, or ``GLIBC_TUNABLES`` to nothing, is left alone.
    """
    if device_type != "cpu" or platform.libc_ver()[0] != "glibc" or _set_by_user():
        return
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)  # what is free now was of another use
    libc.mallopt(_MXFAST, 0)  # the few bytes between two freed tensors join them, instead of keeping them apart
    _set_thresholds(libc, -1, 1024 * _MIB)  # nothing is given back but tensors of a GiB
    os.register_at_fork(
        # else the child would hold the pages that are free here and written to again while it lives
        before=lambda: libc.malloc_trim(0),
        after_in_child=lambda: _set_thresholds(libc, 64 * _MIB, 32 * _MIB),  # the highest that glibc chooses itself
    )


def _set_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES")
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
    return tunables == "" or "threshold" in (tunables or "") or any(name in os.environ for name in names)


def _set_thresholds(libc: ctypes.CDLL, trim: int, mmap: int) -> None:
    """Bytes that may be free at the heap's end (-1: any number), and from which on a piece is no part of the heap."""
    libc.mallopt(_TRIM_THRESHOLD, trim)
    libc.mallopt(_MMAP_THRESHOLD, mmap)
