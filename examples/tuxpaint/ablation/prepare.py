"""Keeps stamps from training: ``python -m one_peace.examples.tuxpaint.ablation.prepare --data DIR --out DIR``.

DIR is the data that examples/tuxpaint prepared. Whole captions are kept, drawn by their hash, so that no stamp to be
found has its caption trained on. Writes train.tsv, valid.tsv (the same, to measure) and held_out.tsv.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.manifest import Manifest
from one_peace.data.prepare.files import write_manifest

COLUMNS = ("image_id", "image", "caption")
KEPT = 5  # one caption of so many


def is_held_out(caption: str) -> bool:
    """The same on every machine."""
    return int.from_bytes(hashlib.sha256(caption.encode()).digest()[:4], "big") % KEPT == 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.tuxpaint.ablation.prepare", description="Keep stamps from training."
    )
    parser.add_argument("--data", type=Path, required=True, help="data of examples/tuxpaint")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args(argv)
    table = Manifest(args.data / "train.tsv", COLUMNS)
    rows: dict[bool, list[tuple[str, ...]]] = {False: [], True: []}
    for number in range(len(table)):
        name, image, caption = table[number]
        rows[is_held_out(caption)].append((name, str((args.data / image).resolve()), caption))
    for split, held_out in (("train", False), ("valid", False), ("held_out", True)):
        write_manifest(args.out / f"{split}.tsv", COLUMNS, rows[held_out])
    print(f"{len(rows[False])} stamps to train on, {len(rows[True])} held out: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
