"""Lays sounds beside pictures, to search one by the other: ``python -m one_peace.examples.instruments.gallery``.

Writes DATA/gallery.tsv (audio, image, text): a row for each clip of the test font and each picture that shows its
instrument, a row without a sound for every other picture of examples/clipart, and one without a picture for every other
clip. It is for evaluation alone: no training reads a sound together with a picture.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest
from one_peace.data.prepare.files import write_manifest
from one_peace.examples.instruments.general_midi import instruments, shown_in_pictures

COLUMNS = ("audio", "image", "text")
Row = tuple[str, str, str]


def read_pictures(folder: Path) -> dict[str, Path]:
    """Name -> file of every picture in the manifests of examples/clipart, trained or held out, each once."""
    names: dict[str, str] = {}
    for split in ("train", "test"):
        table = Manifest(folder / f"{split}.tsv", ("image_id", "image"))
        for name, image in (table[row] for row in range(len(table))):
            names.setdefault(image, name)  # rows after the first are further captions
    return {name: folder / image for image, name in names.items()}


def pair_rows(clips: Sequence[tuple[str, str]], pictures: dict[str, Path], root: Path) -> Iterator[Row]:
    """The rows of gallery.tsv, whose folder is `root`.

    Args:
        clips: (path below `root`, name of the instrument).
        pictures: name -> file.

    Raises:
        DataError: no picture shows an instrument.
    """
    instrument_of = {instrument.name: instrument for instrument in instruments()}
    shown = {picture: shown_in_pictures().get(picture, ()) for picture in pictures}
    if not any(shown.values()):
        raise DataError("none of the pictures shows an instrument", remedy="Run examples/clipart/prepare.sh again")
    for picture, file in pictures.items():
        image = os.path.relpath(file, root)
        heard = [(audio, image, name) for audio, name in clips if instrument_of[name] in shown[picture]]
        yield from heard or [("", image, "")]
    pictured = {instrument for some in shown.values() for instrument in some}
    yield from ((audio, "", "") for audio, name in clips if instrument_of[name] not in pictured)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.instruments.gallery", description="Lay sounds beside pictures."
    )
    parser.add_argument("--data", type=Path, required=True, help="what examples/instruments/prepare.sh made")
    parser.add_argument("--pictures", type=Path, required=True, help="what examples/clipart/prepare.sh made")
    args = parser.parse_args(argv)
    data, pictures = args.data.resolve(), args.pictures.resolve()
    try:
        table = Manifest(data / "test.tsv", ("audio", "label"))
        clips = [table[row] for row in range(len(table))]
        rows = write_manifest(data / "gallery.tsv", COLUMNS, pair_rows(clips, read_pictures(pictures), data))
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{rows} rows in {data / 'gallery.tsv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
