"""Finding pictures and sounds in a folder, whatever its sub-folders, and what to do about those that are missing."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import soundfile
from tqdm import tqdm

from one_peace.data.errors import DataError, SampleError
from one_peace.data.prepare.command import report
from one_peace.data.prepare.files import clean_cell, write_manifest
from one_peace.data.threads import in_threads

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".opus")  # what libsndfile decodes
_SHOWN = 5
_T = TypeVar("_T")


class MediaFolder:
    """The files below a folder with certain endings, found by path, by name, or by name without its ending.

    Args:
        folder: where to look, sub-folders and what links lead to included, names that begin with a dot not.
        suffixes: endings that count, lower-case.
        out: folder of the manifests; `find` gives paths relative to it where the media lie below it, absolute ones
            otherwise, so that either can be moved as a whole.

    Raises:
        DataError: no such folder, or no file in it.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str], out: Path):
        self.folder = folder.resolve()
        self.suffixes = tuple(suffixes)
        out = out.resolve()
        self._prefix = self.folder.relative_to(out) if self.folder.is_relative_to(out) else self.folder
        self._paths: set[str] = set()
        self._names: dict[str, list[str]] = {}
        for path in self._walk():
            self._paths.add(path)
            name = _plain(path.rpartition("/")[2])
            for key in {name, name.rpartition(".")[0].strip()}:
                self._names.setdefault(key, []).append(path)
        if not self._paths:
            reason = f"no file that ends in {', '.join(suffixes)}" if self.folder.is_dir() else "no such folder"
            raise DataError(reason, file=folder, remedy="Name the folder that the media were unpacked or recorded into")

    def _walk(self) -> Iterable[str]:
        """Paths relative to the folder."""
        seen: set[tuple[int, int]] = set()
        for folder, folders, files in tqdm(
            os.walk(self.folder, followlinks=True), desc=f"look into {self.folder.name}", delay=2, file=sys.stderr
        ):
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in seen:  # a link that leads back
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            inside = os.path.relpath(folder, self.folder)
            for name in sorted(files):
                if not is_hidden(name) and os.path.splitext(name)[1].lower() in self.suffixes:  # noqa: PTH122 (a million)
                    yield name if inside == "." else f"{inside}/{name}"

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, *names: str) -> str | None:
        """The manifest's cell of the first of ``names`` that is there.

        A name is a path in the folder, a file's name, or that without its ending, whatever white space surrounds it and
        however its accents are composed; "a/b" is also found outside of any folder "a", but preferred there. Of files
        in one folder that differ in the ending alone it is the one whose suffix comes first.

        Raises:
            DataError: several files have that name, or it holds a tab or line break.
        """
        for name in names:
            if name in self._paths:
                return self._cell(name)
            folder, _, last = name.rpartition("/")
            found = self._names.get(_plain(last), [])
            if len(found) > 1 and folder:
                found = [path for path in found if f"/{path}".rpartition("/")[0].endswith(f"/{folder}")] or found
            if len({path.rpartition(".")[0] for path in found}) > 1:
                raise DataError(
                    f"{found[0]} and {found[1]} are both called {name!r}",
                    file=self.folder,
                    remedy="Name a folder that holds one of them",
                )
            if found:
                return self._cell(min(found, key=self._rank))
        return None

    def _cell(self, path: str) -> str:
        cell = str(self._prefix / path)
        if clean_cell(cell) != cell:
            raise DataError(
                f"the file's name {path!r} holds what no manifest can", file=self.folder, remedy="Rename it"
            )
        return cell

    def _rank(self, path: str) -> int:
        return self.suffixes.index(os.path.splitext(path)[1].lower())  # noqa: PTH122

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """Sub-folder of the folder -> sorted paths of all files below it, relative to the folder."""
        folders: dict[str, list[str]] = {}
        for path in sorted(self._paths):
            folders.setdefault(path.partition("/")[0], []).append(path)
        return folders


def _plain(name: str) -> str:
    """A file's name without white space around it, which tables lose (three files of Clotho begin with a space), and
    with composed accents, which some file systems take apart."""
    return unicodedata.normalize("NFC", name).strip()


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the data: macOS and notebooks leave such beside them."""
    return name.startswith(".")


def read_durations(cells: Sequence[str], out: Path) -> list[float | None]:
    """Seconds of each sound by its header; None for a file that is damaged or no sound."""

    def seconds(cell: str) -> float | None:
        try:
            info = soundfile.info(str(out / cell))
        except (RuntimeError, OSError, ValueError, TypeError):
            return None
        return info.duration if info.frames > 0 else None

    return in_threads(seconds, cells, "durations", "sound")


def is_training(path: Path) -> bool:
    """Whether a manifest is of a training split."""
    return path.name.startswith("train")


class LeftOut:
    """Counts what does not get into a manifest, and names the first few.

    Args:
        missing: "skip" leaves out items whose media are missing; "error" makes `finish` raise.
    """

    def __init__(self, missing: str):
        self.missing = missing
        self._by_reason: dict[str, list[str]] = {}

    def add(self, reason: str, item: object) -> None:
        """An item that something else than its media keeps out: reported, never an error."""
        self._by_reason.setdefault(reason, []).append(str(item))

    def add_missing(self, item: object) -> None:
        """An item without its media."""
        self.add("missing or damaged media", item)

    def finish(self, manifest: Path) -> None:
        """Report what is missing in one manifest, then start over.

        Raises:
            DataError: media are missing and that is an error.
        """
        reasons, self._by_reason = self._by_reason, {}
        for reason, items in reasons.items():
            shown = ", ".join(items[:_SHOWN]) + (", ..." if len(items) > _SHOWN else "")
            message = f"{reason}: {len(items)} ({shown})"
            if reason == "missing or damaged media" and self.missing == "error":
                raise DataError(
                    message, file=manifest, remedy="Put the files there, or leave these items out with --missing skip"
                )
            print(f"{manifest.name}: left out, {message}", file=sys.stderr)


def write_rows(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], left_out: LeftOut, note: str = ""
) -> None:
    """The manifest of a split, and a line about it. With ``--missing skip`` a split of which nothing is there has none.

    Raises:
        DataError: no row is left.
    """
    if rows or left_out.missing != "skip":
        report(path, write_manifest(path, columns, rows), note)
    else:
        print(f"{path}: not written, nothing of it is there")


def without_damaged(
    rows: Sequence[_T], cells_of: Callable[[_T], Iterable[str]], modality: str, path: Path, left_out: LeftOut
) -> list[_T]:
    """The rows whose files of a modality can all be read; ``cells_of`` a row names them.

    Of an evaluation split only: it would stop at a damaged file, while in training another sample takes its place.
    """
    if is_training(path):
        return list(rows)
    from one_peace.modalities import get_modality  # here: torch takes its time, and --help does not need it

    reader = get_modality(modality).reader.from_options({"patch_image_size": 16})  # small pictures are made fastest

    def is_damaged(cell: str) -> bool:
        try:
            reader.load(cell, path.parent)
        except SampleError:
            return True
        return False

    cells = sorted({cell for row in rows for cell in cells_of(row)})
    checked = zip(cells, in_threads(is_damaged, cells, f"check {path.name}", modality), strict=True)
    damaged = {cell for cell, bad in checked if bad}
    whole = []
    for row in rows:
        if bad := [cell for cell in cells_of(row) if cell in damaged]:
            left_out.add_missing(bad[0])
        else:
            whole.append(row)
    return whole
