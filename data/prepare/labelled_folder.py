"""A folder with a sub-folder for each class, of pictures or of sounds: {split}.tsv and labels.txt.

python -m one_peace.data.prepare.labelled_folder --folder flowers/train --split train --out OUT
python -m one_peace.data.prepare.labelled_folder --folder flowers/test --split test --out OUT

Classes are numbered in alphabetical order of their folders. labels.txt holds a class a line: the folder's name with
spaces for underscores, or what --names says: a file of lines "folder name", such as ImageNet's LOC_synset_mapping.txt.
Where OUT has labels.txt, the folder must have the same classes.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from one_peace.data.errors import DataError
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import clean_cell, read_lines, write_labels
from one_peace.data.prepare.media import (
    IMAGES,
    SOUNDS,
    LeftOut,
    MediaFolder,
    is_hidden,
    read_durations,
    without_damaged,
    write_rows,
)

SUFFIXES = {"image": IMAGES, "audio": SOUNDS}
_ID = {"image": "image_id", "audio": "uniq_id"}


class Item(NamedTuple):
    """A picture or sound: its id, the name of its file (`MediaFolder.find`), its class."""

    id: str
    name: str
    number: int


def write_split(
    items: Sequence[Item], labels: Sequence[str], media: MediaFolder, modality: str, path: Path, missing: str
) -> None:
    """The manifest ``path`` (columns image_id, image, label or uniq_id, audio, label, duration), and labels.txt beside.

    Raises:
        DataError: labels.txt is there and says something else.
    """
    left_out = LeftOut(missing)
    cells = [media.find(item.name) for item in items]
    durations = read_durations([cell or "" for cell in cells], path.parent) if modality == "audio" else cells
    rows = []
    for item, cell, duration in zip(items, cells, durations, strict=True):
        if cell is None or duration is None:
            left_out.add_missing(item.name)
        else:
            rows.append((item.id, cell, item.number, *([f"{duration:.2f}"] if modality == "audio" else [])))
    rows = without_damaged(rows, lambda row: (row[1],), modality, path, left_out)
    left_out.finish(path)
    names = path.with_name("labels.txt")
    if names.is_file() and read_lines(names) != [clean_cell(label) for label in labels]:
        raise DataError(
            f"the classes of {path.name} are others", file=names, remedy="Remove the file if its manifests are obsolete"
        )
    write_labels(names, labels)
    columns = (_ID[modality], modality, "label", *(["duration"] if modality == "audio" else []))
    write_rows(path, columns, rows, left_out, f", {len(labels)} classes in {names.name}")


def find_classes(folder: Path) -> list[str]:
    """The sub-folders, sorted: class n is the n-th."""
    there = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    classes = [name for name in there if not is_hidden(name)]
    if not classes:
        raise DataError("no sub-folders", file=folder, remedy="One for each class is expected there")
    return classes


def items_of(media: MediaFolder, classes: Iterable[str]) -> list[Item]:
    """Everything below the classes' sub-folders; those with nothing below are named."""
    if empty := [name for name in classes if name not in media.by_folder]:
        print(f"{media.folder}: nothing of {len(empty)} classes ({', '.join(empty[:5])})", file=sys.stderr)
    found = [(path, number) for number, name in enumerate(classes) for path in media.by_folder.get(name, [])]
    stems = [str(Path(path).with_suffix("")) for path, _ in found]
    count = Counter(stems)  # files that differ in their ending alone keep it
    return [
        Item(stem if count[stem] == 1 else path, path, number)
        for stem, (path, number) in zip(stems, found, strict=True)
    ]


def read_names(path: Path | None, classes: Sequence[str]) -> list[str]:
    """What to call each class: by a file of lines "folder name", or by its folder.

    Raises:
        DataError: the file does not name a class.
    """
    if path is None:
        labels = [name.replace("_", " ") for name in classes]
        if twice := [label for label, count in Counter(labels).items() if count > 1]:
            print(f"{len(twice)} names stand for several classes ({', '.join(twice[:5])})", file=sys.stderr)
        return labels
    names: Mapping[str, str] = dict(line.split(maxsplit=1) for line in read_lines(path) if len(line.split()) > 1)
    if unknown := [name for name in classes if name not in names]:
        raise DataError(f"no line for class {unknown[0]!r}", file=path, remedy='A line reads "folder name"')
    return [names[name] for name in classes]


def prepare(options: argparse.Namespace) -> None:
    """Write the manifest and the labels."""
    classes = find_classes(options.folder)
    media = MediaFolder(options.folder, SUFFIXES[options.modality], options.out)
    path = options.out / f"{options.split}.tsv"
    labels = read_names(options.names, classes)
    write_split(items_of(media, classes), labels, media, options.modality, path, options.missing)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--folder", type=Path, required=True, help="holds a sub-folder for each class")
    parser.add_argument("--split", default="test", help="name of the manifest (default: %(default)s)")
    parser.add_argument("--modality", choices=sorted(SUFFIXES), default="image", help="default: %(default)s")
    parser.add_argument("--names", type=Path, help='what to call the classes: lines "folder name"')
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
