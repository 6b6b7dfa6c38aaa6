"""COCO with Karpathy's splits: train.tsv (train + restval, one row a caption), valid.tsv and test.tsv (one row a
picture) with valid.json and test.json, all captions of each.

python -m one_peace.data.prepare.coco_retrieval --karpathy dataset_coco.json --images coco --out OUT

coco/ holds the folders train2014 and val2014.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.prepare.captions import read_karpathy, write_picture_splits
from one_peace.data.prepare.command import make_parser, run


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests."""
    write_picture_splits(read_karpathy(options.karpathy, "cocoid"), options.images, options.out, options.missing)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--karpathy", type=Path, required=True, help="dataset_coco.json")
    parser.add_argument("--images", type=Path, required=True, help="folder that holds train2014 and val2014")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
