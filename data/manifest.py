"""Manifests: tab-separated text with a header line, columns by name, read lazily by byte offset.

The format is plain: UTF-8, one row a line (LF or CRLF), cells separated by tabs, quotes mean nothing.
"""

import difflib
import glob
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from one_peace.data.errors import DataError

_SCAN_BYTES = 1 << 24
_MAX_LINE_BYTES = 1 << 24


class Manifest:
    """Rows of a TSV file; ``manifest[i]`` reads row i from disk.

    Only the offsets of the lines are held (8 bytes a row). Reads go through ``os.pread``, which moves no shared file
    position, so that forked workers may use one open file; a spawned worker opens its own.

    Args:
        path: the file.
        columns: names of the columns to read, in the order in which rows give them.
        optional: further columns, read after those if the header names them.

    Attributes:
        columns: the names of the columns that rows give.

    Raises:
        DataError: the file is missing, empty, without rows, not UTF-8, or lacks a column.
    """

    def __init__(self, path: str | os.PathLike, columns: Sequence[str], optional: Sequence[str] = ()):
        self.path = Path(path)
        self.columns = tuple(columns)
        self._file = self._open()
        self._starts = self._line_starts()  # int64[lines + 1]: where each line starts, and where the file ends
        if len(self._starts) < 2:
            raise self._error("the file is empty", remedy=self._format_hint())
        header = self._split(self._line(0).removeprefix(b"\xef\xbb\xbf"), row=None)
        self._num_cells = len(header)
        self.columns += tuple(name for name in optional if name in header and name not in self.columns)
        self._places = [self._place(name, header) for name in self.columns]
        if not len(self):
            raise self._error("there is a header and no row", remedy="Add one line for each sample")

    def __len__(self) -> int:
        return len(self._starts) - 2

    def __getitem__(self, row: int) -> tuple[str, ...]:
        """The cells of row ``row`` (0 = the first after the header), one for each of ``columns``.

        Raises:
            DataError: the line is not UTF-8 or has another number of cells than the header.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        cells = self._split(self._line(row + 1), row)
        if len(cells) != self._num_cells:
            raise self._error(
                f"the line has {len(cells)} cells, the header {self._num_cells}" if any(cells) else "the line is blank",
                row,
                remedy="Cells are separated by one tab each and hold neither tabs nor line breaks; quotes mean nothing",
            )
        return tuple(cells[place] for place in self._places)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_file": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._file = self._open()

    def _open(self):
        try:
            return self.path.open("rb", buffering=0)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise self._error(f"cannot open the manifest ({reason})", remedy="Check the path") from None

    def _line_starts(self) -> np.ndarray:
        starts, offset = [np.zeros(1, dtype=np.int64)], 0
        last = b"\n"
        while chunk := os.pread(self._file.fileno(), _SCAN_BYTES, offset):
            starts.append(np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n")) + (offset + 1))
            offset += len(chunk)
            last = chunk[-1:]
        if last != b"\n":  # the final line break is optional
            starts.append(np.array([offset], dtype=np.int64))
        return self._without_blank_end(np.concatenate(starts))

    def _without_blank_end(self, starts: np.ndarray) -> np.ndarray:
        """``starts`` without the blank lines that editors leave at the end of a file."""
        while len(starts) > 2 and starts[-1] - starts[-2] <= len(b"\r\n"):
            if os.pread(self._file.fileno(), int(starts[-1] - starts[-2]), int(starts[-2])).strip(b"\r\n"):
                break
            starts = starts[:-1]
        return starts

    def _line(self, line: int) -> bytes:
        start, end = int(self._starts[line]), int(self._starts[line + 1])
        if end - start > _MAX_LINE_BYTES:
            raise self._error(
                f"the line is longer than {_MAX_LINE_BYTES >> 20} MiB", line - 1 if line else None, self._format_hint()
            )
        return os.pread(self._file.fileno(), end - start, start)

    def _split(self, line: bytes, row: int | None) -> list[str]:
        try:
            return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8").split("\t")
        except UnicodeDecodeError as error:
            raise self._error(
                f"the {'header' if row is None else 'line'} is not UTF-8 ({error.reason} at byte {error.start})",
                row,
                remedy="Save the manifest as UTF-8",
            ) from None

    def _place(self, name: str, header: list[str]) -> int:
        if header.count(name) == 1:
            return header.index(name)
        shown = ", ".join(repr(cell[:40]) for cell in header[:20])
        if name in header:
            raise self._error(f"the header names column {name!r} twice: {shown}", remedy="Rename one of them")
        near = difflib.get_close_matches(name, header, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise self._error(
            f"no column {name!r}{hint or '.'} The first line reads: {shown}",
            remedy="The first line must name the columns, and the selected columns must be among them",
        )

    def _format_hint(self) -> str:
        return f"A manifest is a line of tab-separated column names ({', '.join(self.columns)}), then one line a sample"

    def _error(self, reason: str, row: int | None = None, remedy: str = "") -> DataError:
        return DataError(reason, file=self.path, row=row, remedy=remedy)


def find_shards(data_dir: str | os.PathLike, pattern: str) -> list[Path]:
    """The manifests that ``pattern`` names: file names and globs, joined by commas, relative to ``data_dir``.

    They come in the order of the list; the matches of one glob are sorted, and none comes twice.

    Raises:
        DataError: a name or glob that matches no file.
    """
    folder = Path(data_dir)
    shards: list[Path] = []
    for part in filter(None, (part.strip() for part in pattern.split(","))):
        if (folder / part).is_file():
            found = [folder / part]
        else:
            matches = sorted(glob.glob(part, root_dir=folder))  # noqa: PTH207 (Path.glob takes no absolute pattern)
            found = [folder / match for match in matches if (folder / match).is_file()]
        if not found:
            there = sorted(path.name for path in folder.glob("*.tsv")) if folder.is_dir() else []
            raise DataError(
                f"no manifest {part!r}",
                file=folder,
                remedy=f"The folder holds {', '.join(there[:20]) or 'no .tsv file'}"
                if folder.is_dir()
                else "There is no such folder",
            )
        shards += [shard for shard in found if shard not in shards]
    if not shards:
        raise DataError(f"the pattern {pattern!r} names no manifest", file=folder, remedy="Give a file name or a glob")
    return shards


def shard_of_epoch(shards: Sequence[Path], epoch: int) -> Path:
    """The shard that epoch ``epoch`` (from 1) reads: one an epoch, in turn."""
    return shards[(epoch - 1) % len(shards)]
