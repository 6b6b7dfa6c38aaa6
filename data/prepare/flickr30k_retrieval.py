"""Flickr30K with Karpathy's splits: train.tsv (one row a caption), valid.tsv and test.tsv (one row a picture) with
valid.json and test.json, all captions of each. From Karpathy's JSON, or from the official captions and split files:

python -m one_peace.data.prepare.flickr30k_retrieval --karpathy dataset_flickr30k.json --images IMAGES --out OUT
python -m one_peace.data.prepare.flickr30k_retrieval --captions results.csv --splits SPLITS --images IMAGES --out OUT

SPLITS holds train.txt, val.txt and test.txt, a picture's name a line. The captions are results.csv (cells separated by
"|") or results_20130124.token.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.prepare.captions import Captioned, read_karpathy, write_picture_splits
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import read_lines, read_table

_TOKEN_LINE = re.compile(r"(?P<image>\S+?)#\d+(?:\s*\t(?P<caption>.*))?")
# one line of the official csv lacks its second separator
_NUMBER_AND_CAPTION = re.compile(r"\d+\s+(?P<caption>.+)")


def read_captions(path: Path) -> dict[str, list[str]]:
    """Picture's name without its ending -> captions, from either official file."""
    captions: dict[str, list[str]] = {}
    for image, caption in _token_rows(path) if path.suffix == ".token" else _csv_rows(path):
        captions.setdefault(Path(image).stem, []).append(caption)
    return captions


def _token_rows(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_lines(path), start=1):
        row = _TOKEN_LINE.fullmatch(line)
        if row is None:
            raise DataError(f"line {number} is not 'name.jpg#0<tab>caption': {line[:60]!r}", file=path)
        yield row["image"], row["caption"] or ""


def _csv_rows(path: Path) -> Iterator[tuple[str, str]]:
    columns = ("image_name", "comment_number", "comment")
    for row in read_table(path, columns, delimiter="|", quotes=False):
        joined = None if "comment" in row else _NUMBER_AND_CAPTION.fullmatch(row.text("comment_number"))
        yield row.text("image_name"), joined["caption"] if joined else row.text("comment")


def read_official(captions_file: Path, splits: Path) -> dict[str, list[Captioned]]:
    """Manifest (train, valid, test) -> pictures.

    Raises:
        DataError: a split names a picture without captions.
    """
    captions = read_captions(captions_file)
    pictures: dict[str, list[Captioned]] = {}
    for manifest, split in {"train": "train", "valid": "val", "test": "test"}.items():
        path = splits / f"{split}.txt"
        names = [Path(name).stem if name.endswith(".jpg") else name for name in read_lines(path)]
        if unknown := [name for name in names if name not in captions]:
            raise DataError(
                f"{len(unknown)} pictures have no caption in {captions_file} (the first: {unknown[0]})",
                file=path,
                remedy="Captions and splits must be of the same data set",
            )
        pictures[manifest] = [Captioned(name, [f"{name}.jpg"], captions[name]) for name in names]
    return pictures


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests."""
    if options.karpathy:
        splits = read_karpathy(options.karpathy, None)
    elif options.captions and options.splits:
        splits = read_official(options.captions, options.splits)
    else:
        raise DataError("name --karpathy, or both --captions and --splits")
    write_picture_splits(splits, options.images, options.out, options.missing)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--karpathy", type=Path, help="dataset_flickr30k.json")
    parser.add_argument("--captions", type=Path, help="results.csv or results_20130124.token, with --splits")
    parser.add_argument("--splits", type=Path, help="folder with train.txt, val.txt and test.txt")
    parser.add_argument("--images", type=Path, required=True, help="folder of the pictures")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
