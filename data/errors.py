"""The two ways in which data can be wrong. Each message says what is wrong, where, and what to do about it."""

from os import PathLike


class SampleError(ValueError):
    """One sample cannot be used. Raised by readers, who know the reason; the data set adds the file and the row."""


class DataError(ValueError):
    """A manifest, or one row of it, cannot be used.

    Args:
        reason: what is wrong.
        file: the manifest (or folder) it is wrong in.
        row: index of the row, 0 = the first line after the header; the message counts rows from 1 and names the line.
        remedy: what the user can do about it.
    """

    def __init__(self, reason: str, *, file: str | PathLike | None = None, row: int | None = None, remedy: str = ""):
        where = "" if file is None else f"{file}: "
        if row is not None:
            where = f"{file}, row {row + 1} (line {row + 2}): "
        super().__init__(f"{where}{reason}" + (f". {remedy}" if remedy else ""))
