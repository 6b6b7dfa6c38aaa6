"""Pickles of plain data, such as REFER's, read without trusting them."""

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

from one_peace.data.errors import DataError
from one_peace.data.prepare.files import check_file

_MAX_BYTES = 1 << 30  # REFER's largest has 80 MB


class _PlainUnpickler(pickle._Unpickler):
    """Builds lists, dicts, tuples, texts and numbers: the only things that need no name of a class or function.

    A pickle executes something by naming a callable first; every name ends up in ``find_class``. Python's own
    implementation, not the one in C, which allocates as much memory as the file says its memo needs; and no bytearray,
    for which this one does.
    """

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)
    del dispatch[pickle.BYTEARRAY8[0]]

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and plain data names nothing")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside of itself")


def read_plain_pickle(path: Path) -> Any:
    """What a pickle of lists, dicts, tuples, texts and numbers holds; texts of Python 2 are read as UTF-8.

    Raises:
        DataError: the file holds anything else, or is damaged. Nothing of it is executed.
    """
    check_file(path, _MAX_BYTES)
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="utf-8", errors="replace").load()
    except Exception as error:  # a damaged pickle can raise anything, MemoryError included
        raise DataError(
            f"not a pickle of plain data ({error or type(error).__name__}); nothing of it was executed",
            file=path,
            remedy="Take the file from REFER's own download",
        ) from None
