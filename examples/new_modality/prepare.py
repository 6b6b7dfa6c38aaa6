"""Makes manifests of drawings: ``python -m one_peace.examples.new_modality.prepare --clipart DIR --out DIR``.

Takes up what examples/clipart prepared: the same drawings, now as SVG files, with the same titles and pictures, and the
same drawings kept from training. Writes

    train.tsv   id, caption, drawing, image: drawings to train on
    valid.tsv   the same columns: drawings kept from this training, to watch it; stage 1 has seen their pictures
    test.tsv    the same columns: drawings kept from both trainings, whose titles others have
    all.tsv     the same columns: test.tsv's rows, and of all others title and picture alone, to be searched as well
"""

import argparse
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest
from one_peace.data.prepare.files import write_manifest
from one_peace.examples.clipart.drawings import DrawingError
from one_peace.examples.new_modality.segments import read_segments

COLUMNS = ("id", "caption", "drawing", "image")
KEPT = 10  # one of so many is watched
_PREFIX = "clipart/"
Row = tuple[str, str, str, str]


def find_drawings(package: Path) -> Path:
    """The folder of the SVG files below that of the unpacked package.

    Raises:
        DataError: there is none.
    """
    found = sorted(package.glob("openclipart-svg_*/usr/share/openclipart/svg"))
    if not found:
        raise DataError("no unpacked openclipart-svg", file=package, remedy="Run examples/clipart/prepare.sh first")
    return found[-1]


def read_rows(manifest: Path, drawings: Path, out: Path) -> Iterator[Row]:
    """Rows of the drawings in one of clipart's manifests, with paths relative to `out`.

    What is no path (a photograph inside an SVG file) is left out, and so are further captions of a picture.
    """
    table = Manifest(manifest, ("image_id", "image", "caption"))
    for number in tqdm(range(len(table)), desc=f"drawings of {manifest.name}", unit="drawing"):
        name, image, caption = table[number]
        if not name.startswith(_PREFIX) or not image.endswith(f"{name}.png"):
            continue
        drawing = drawings / f"{name.removeprefix(_PREFIX)}.svg"
        try:
            read_segments(drawing, 1)
        except DrawingError:
            continue
        yield name, caption, os.path.relpath(drawing, out), os.path.relpath(manifest.parent / image, out)


def write_manifests(trained: Sequence[Row], held_out: Sequence[Row], out: Path) -> dict[str, int]:
    """Writes the four manifests; returns their numbers of rows."""
    titles = Counter(caption for _, caption, _, _ in trained)
    watched = {row for row in trained if titles[row[1]] > 1 and _is_drawn(row[0])}
    rows = {
        "train": [row for row in trained if row not in watched],
        "valid": [row for row in trained if row in watched],
        "test": held_out,
    }
    written = {split: write_manifest(out / f"{split}.tsv", COLUMNS, rows[split]) for split in rows}
    others = [(name, caption, "", image) for name, caption, _, image in trained]
    return {**written, "all": write_manifest(out / "all.tsv", COLUMNS, [*held_out, *others])}


def _is_drawn(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % KEPT == 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.new_modality.prepare", description="Make manifests of drawings."
    )
    parser.add_argument("--clipart", type=Path, required=True, help="where examples/clipart/prepare.sh put everything")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    try:
        drawings = find_drawings(args.clipart.resolve() / "package")
        parts = (args.clipart.resolve() / "data" / f"{name}.tsv" for name in ("train", "test"))
        trained, held_out = (list(read_rows(part, drawings, out)) for part in parts)
        written = write_manifests(trained, held_out, out)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"rows: {written} in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
