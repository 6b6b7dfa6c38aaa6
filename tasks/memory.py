"""What training on a CPU asks of the C library's memory allocator."""

import contextlib
import ctypes
import functools
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt(3)
_OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@functools.cache  # once a process, not once an epoch
def keep_freed_memory(device_type: str) -> None:
    """On a CPU: what a step frees is the next one's, instead of the system's in between (glibc; others have no such).

    A step frees nearly all that it asked for. glibc gives that back and gets it again page by page, each cleared by the
    system, which takes a twelfth of a step and more. The most that the process holds is the same. Whoever sets one of
    glibc's own variables, ``MALLOC_TRIM_THRESHOLD_`` for example, is left alone.
    """
    if device_type != "cpu" or any(name in os.environ for name in _OWN_SETTINGS):
        return
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, -1)  # never
        mallopt(_MMAP_THRESHOLD, 1 << 30)  # a tensor of less than a GiB comes from the heap
