"""ESC-50, all five folds, to evaluate without training: test.tsv and labels.txt.

python -m one_peace.data.prepare.esc50 --esc50 ESC-50-master --out OUT

The folder holds meta/esc50.csv and audio/.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import read_table
from one_peace.data.prepare.labelled_folder import Item, write_split
from one_peace.data.prepare.media import SOUNDS, MediaFolder


def prepare(options: argparse.Namespace) -> None:
    """Write the manifest and the labels."""
    path = options.esc50 / "meta" / "esc50.csv"
    items: list[Item] = []
    names: dict[int, str] = {}
    for row in read_table(path, ("filename", "fold", "target", "category")):
        number, name = row.integer("target", 0, 10**4), row.text("category").replace("_", " ")
        if names.setdefault(number, name) != name:
            raise row.error(f"class {number} is {name!r} here and {names[number]!r} before")
        items.append(Item(Path(row.text("filename")).stem, f"audio/{row.text('filename')}", number))
    if sorted(names) != list(range(len(names))):
        raise DataError("the classes are not numbered 0 to N - 1", file=path, remedy="Take the official esc50.csv")
    media = MediaFolder(options.esc50, SOUNDS, options.out)
    write_split(items, [names[n] for n in sorted(names)], media, "audio", options.out / "test.tsv", options.missing)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--esc50", type=Path, required=True, help="folder that the data set was unpacked into")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
