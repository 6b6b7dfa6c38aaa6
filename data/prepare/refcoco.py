"""RefCOCO, RefCOCO+ and RefCOCOg: train.tsv, valid.tsv and the data set's tests (testA.tsv and testB.tsv, or test.tsv).

python -m one_peace.data.prepare.refcoco --refer refcoco --split-by unc --images train2014 --out OUT

The folder is one of REFER's: refcoco or refcoco+ (split by unc), refcocog (split by umd, or google), with refs(...).p
and instances.json. Its pickle is read without executing anything in it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import Entry, clean_cell, read_json
from one_peace.data.prepare.media import IMAGES, LeftOut, MediaFolder, without_damaged, write_rows
from one_peace.data.prepare.plain_pickle import read_plain_pickle

COLUMNS = ("uniq_id", "image", "text", "region_coord")
_SPLIT_BY = ("unc", "umd", "google")
_MANIFESTS = {"train": "train", "val": "valid", "test": "test", "testA": "testA", "testB": "testB"}


def find_split_by(folder: Path, wanted: str | None) -> str:
    """The way to split whose refs the folder holds; ``wanted`` decides where there are several."""
    there = [way for way in _SPLIT_BY if (folder / f"refs({way}).p").is_file()]
    if wanted in there:
        return wanted
    if wanted or len(there) != 1:
        raise DataError(
            f"no refs({wanted or '...'}).p" if wanted or not there else f"split by {' or '.join(there)}?",
            file=folder,
            remedy=f"Name it with --split-by; the folder has {', '.join(there) or 'none of them'}",
        )
    return there[0]


def region(annotation: Entry, picture: Entry) -> str | None:
    """COCO's x, y, width, height -> ``x0,y0,x1,y1``; None where that is no box within the picture, up to a pixel."""
    x, y, width, height = annotation.numbers("bbox", 4)
    columns, rows = (picture.integer(side, 1, 10**6) for side in ("width", "height"))
    box = (x, y, x + width, y + height)
    if width <= 0 or height <= 0 or x < -1 or y < -1 or box[2] > columns + 1 or box[3] > rows + 1:
        return None
    return ",".join(f"{edge:.2f}" for edge in box)


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests."""
    instances = options.refer / "instances.json"
    whole = Entry(read_json(instances), instances, "file")
    pictures = {picture.id("id"): picture for picture in Entry.list_of(whole.get("images", list), instances, "image")}
    boxes = {
        annotation.id("id"): annotation
        for annotation in Entry.list_of(whole.get("annotations", list), instances, "annotation")
    }
    refs = options.refer / f"refs({find_split_by(options.refer, options.split_by)}).p"
    media = MediaFolder(options.images, IMAGES, options.out)
    rows: dict[str, list[tuple[str, str, str, str]]] = {}
    left_out: dict[str, LeftOut] = {}
    for ref in Entry.list_of(read_plain_pickle(refs), refs, "ref"):
        split, picture, box = ref.text("split"), ref.id("image_id"), ref.id("ann_id")
        if split not in _MANIFESTS or picture not in pictures or box not in boxes:
            raise ref.error(
                f"split {split!r}, image {picture} or annotation {box} is unknown: is instances.json of this data set?"
            )
        lost = left_out.setdefault(split, LeftOut(options.missing))
        name = pictures[picture].text("file_name")
        cell, coordinates = media.find(name), region(boxes[box], pictures[picture])
        if cell is None:
            lost.add_missing(name)
            continue
        if coordinates is None:
            lost.add("boxes without area or outside of the picture", f"annotation {box}")
            continue
        sentences = ref.entries("sentences")
        if not sentences:
            lost.add("refs without a sentence", ref.id("ref_id"))
        for sentence in sentences:
            if text := clean_cell(sentence.text("sent")):
                rows.setdefault(split, []).append((sentence.id("sent_id"), cell, text, coordinates))
            else:
                lost.add("empty sentence", sentence.id("sent_id"))
    for split, lost in left_out.items():
        path = options.out / f"{_MANIFESTS[split]}.tsv"
        whole = without_damaged(rows.get(split, []), lambda row: (row[1],), "image", path, lost)
        lost.finish(path)
        write_rows(path, COLUMNS, whole, lost)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--refer", type=Path, required=True, help="folder with refs(...).p and instances.json")
    parser.add_argument("--split-by", choices=_SPLIT_BY, help="which refs, where the folder has several")
    parser.add_argument("--images", type=Path, required=True, help="COCO's train2014")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
