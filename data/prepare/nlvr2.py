"""NLVR2: train.tsv, valid.tsv (dev) and test.tsv (test1, the public one).

python -m one_peace.data.prepare.nlvr2 --nlvr2 DATA --images IMAGES --out OUT

DATA holds the official train.json, dev.json and test1.json (one object a line); IMAGES the pictures in any sub-folders,
named train-10171-0-img0.png and so on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import Entry, clean_cell, read_lines
from one_peace.data.prepare.media import IMAGES, LeftOut, MediaFolder, without_damaged, write_rows

COLUMNS = ("uniq_id", "text", "image1", "image2", "label")
_SPLITS = {"train": "train", "valid": "dev", "test": "test1"}


def read_examples(path: Path) -> Iterator[Entry]:
    """The objects of a file with one a line."""
    for number, line in enumerate(read_lines(path), start=1):
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"line {number} is no JSON ({error})", file=path, remedy="The official files hold one object a line"
            ) from None
        yield Entry(value, path, f"line {number}")


def read_label(example: Entry) -> str:
    """``True`` or ``False``."""
    label = str(example.get("label", str, bool)).capitalize()
    if label not in ("True", "False"):
        raise example.error(f"'label' is {label!r}, expected True or False")
    return label


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests."""
    media, left_out = MediaFolder(options.images, IMAGES, options.out), LeftOut(options.missing)
    for split, official in _SPLITS.items():
        rows = []
        for example in read_examples(options.nlvr2 / f"{official}.json"):
            id, sentence, label = example.text("identifier"), clean_cell(example.text("sentence")), read_label(example)
            # the last number tells sentences about the same pair of pictures apart
            names = [f"{id.rpartition('-')[0]}-img{number}.png" for number in (0, 1)]
            pair = [media.find(name) for name in names]
            if None in pair:
                left_out.add_missing(names[pair.index(None)])
            elif not sentence:
                left_out.add("empty sentence", id)
            else:
                rows.append((id, sentence, *pair, label))
        path = options.out / f"{split}.tsv"
        rows = without_damaged(rows, lambda row: row[2:4], "image", path, left_out)
        left_out.finish(path)
        write_rows(path, COLUMNS, rows, left_out)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--nlvr2", type=Path, required=True, help="folder with train.json, dev.json and test1.json")
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
