"""Reading what benchmarks are published as, and writing manifests. An error names the file, the entry and a remedy."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from one_peace.data.errors import DataError

MAX_BYTES = 4 << 30  # the largest official annotation file has half a GiB
_AGAIN = "Download it again, and name the official file"
_CORRECT = "Correct or remove that entry, or name the official file"
# what ends a cell or a line of a manifest, and the NUL that ends a file name
_ENDS = re.compile(r"[\t\r\n\0]+")


def clean_cell(value: object) -> str:
    """``value`` as a manifest's cell: no tab, line break or NUL, no lone surrogate, no white space around it."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return _ENDS.sub(" ", text).strip()


def write_manifest(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write ``rows`` below a header of ``columns``; the file is complete or absent.

    Returns:
        The number of rows.

    Raises:
        DataError: there is no row.
        ValueError: a row has another number of cells.
    """
    lines = ["\t".join(columns)]
    lines += ["\t".join(clean_cell(value) for _, value in zip(columns, row, strict=True)) for row in rows]
    if len(lines) == 1:
        raise DataError("no row is left to write", file=path, remedy="Check the folders and the split's file")
    write_text(path, "\n".join(lines) + "\n")
    return len(lines) - 1


def write_json(path: Path, value: object) -> None:
    """Write ``value``, readable, complete or absent."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=0) + "\n")


def write_labels(path: Path, names: Iterable[str]) -> None:
    """One label a line, in the order of the class numbers."""
    write_text(path, "".join(f"{clean_cell(name)}\n" for name in names))


def write_text(path: Path, text: str) -> None:
    """Write a file in one move: it is complete or absent, also if the process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(path)


def check_file(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Raise a DataError unless ``path`` is a file of a size that is read whole."""
    if not path.is_file():
        near = sorted(entry.name for entry in path.parent.iterdir())[:10] if path.parent.is_dir() else []
        raise DataError(
            "no such file", file=path, remedy=f"The folder holds {', '.join(near)}" if near else "Check the path"
        )
    if path.stat().st_size > max_bytes:
        raise DataError(f"the file is larger than {max_bytes >> 20} MiB", file=path, remedy=_AGAIN)


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a UTF-8 file, without a byte order mark."""
    check_file(path, max_bytes)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the file is not UTF-8 ({error.reason} at byte {error.start})", file=path, remedy="Save it as UTF-8"
        ) from None


def read_lines(path: Path) -> list[str]:
    """The lines that are not blank, stripped."""
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"the file is no JSON ({error})", file=path, remedy=_AGAIN) from None


def read_table(
    path: Path, columns: Sequence[str], *, header: bool = True, delimiter: str = ",", quotes: bool = True
) -> Iterator["Entry"]:
    """The rows of a csv file as entries of texts by column.

    Args:
        path: the file.
        columns: with a header, those it must name; without, the names of the first cells of each row.
        header: whether the first row names the columns.
        delimiter: what separates cells.
        quotes: whether ``"`` quotes.

    Raises:
        DataError: a column is missing, or a row is short or malformed.
    """
    lines = io.StringIO(read_text(path), newline="")
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE)
    names = list(columns)
    try:
        if header:
            names = [name.strip() for name in next(reader, [])]
            if missing := [name for name in columns if name not in names]:
                first = ", ".join(names)[:200]
                raise DataError(f"no column {missing[0]!r}; the first line reads: {first}", file=path, remedy=_AGAIN)
        for row in reader:
            if row:
                cells = dict(zip(names, (cell.strip() for cell in row), strict=False))
                yield Entry(cells, path, f"line {reader.line_num}")
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: {error}", file=path, remedy=_AGAIN) from None


class Entry:
    """One object of an annotation file; its values by key and type, anything else an error that says where.

    Args:
        values: the object.
        path: the file it comes from.
        where: its place there, for messages ("entry 3").
    """

    def __init__(self, values: object, path: Path, where: str):
        self.path, self.where = path, where
        if not isinstance(values, Mapping):
            raise self.error(f"expected an object with named values, got {str(values)[:60]!r}")
        self.values = values

    @classmethod
    def list_of(cls, values: object, path: Path, what: str = "entry") -> list[Self]:
        """An entry for each object of a list."""
        if not isinstance(values, list):
            raise DataError(f"expected a list of objects ({what}), got {str(values)[:60]!r}", file=path, remedy=_AGAIN)
        return [cls(value, path, f"{what} {number}") for number, value in enumerate(values, start=1)]

    def error(self, reason: str) -> DataError:
        """The error to raise about this entry."""
        return DataError(f"{self.where}: {reason}", file=self.path, remedy=_CORRECT)

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def get(self, key: str, *kinds: type) -> Any:
        """The value of ``key``, of one of ``kinds``."""
        value = self.values.get(key)
        if value is None:
            raise self.error(f"no {key!r} (there are: {', '.join(map(str, self.values))[:200]})")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.error(f"{key!r} is {str(value)[:60]!r}, expected {' or '.join(kind.__name__ for kind in kinds)}")
        return value

    def text(self, key: str) -> str:
        """A text."""
        return self.get(key, str)

    def id(self, key: str) -> str:
        """A number or text that identifies."""
        return str(self.get(key, int, str))

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``; also as text."""
        value = self.get(key, int, str)
        try:
            number = int(value)
        except ValueError:
            raise self.error(f"{key!r} is {value!r}, expected a whole number") from None
        if not low <= number <= high:
            raise self.error(f"{key!r} is {number}, expected {low} to {high}")
        return number

    def numbers(self, key: str, count: int) -> list[float]:
        """A list of ``count`` finite numbers."""
        values = self.get(key, list)
        good = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
        if len(good) != count or len(values) != count:
            raise self.error(f"{key!r} is {str(values)[:60]}, expected {count} numbers")
        return [float(value) for value in values]

    def entries(self, key: str) -> list[Self]:
        """A list of objects."""
        values = self.get(key, list)
        return [type(self)(value, self.path, f"{self.where}, {key} {i}") for i, value in enumerate(values, start=1)]
