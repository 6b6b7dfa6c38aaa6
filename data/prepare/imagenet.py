"""ImageNet: train.tsv and valid.tsv (columns image_id, image, label), labels.txt. ImageNet-21k has no valid.tsv.

python -m one_peace.data.prepare.imagenet --imagenet ILSVRC2012 --out OUT

The folder holds train/<wnid>/ and val/: with folders again, or flat. What a flat one shows is told by --devkit, the
unpacked ILSVRC2012_devkit_t12, or by --val-labels: Kaggle's LOC_val_solution.csv, or lines "name class", the class a
wnid or its place among the sorted wnids. Class n is the n-th of the sorted wnids.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy.io import loadmat

from one_peace.data.errors import DataError
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import check_file, read_lines, read_table
from one_peace.data.prepare.labelled_folder import Item, find_classes, items_of, read_names, write_split
from one_peace.data.prepare.media import IMAGES, MediaFolder


def read_val_labels(path: Path, classes: Sequence[str]) -> list[Item]:
    """The pictures that a file of labels names.

    Raises:
        DataError: a class that does not exist.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    numbers |= {str(number): number for number in range(len(classes))}
    if path.suffix == ".csv":
        rows = read_table(path, ("ImageId", "PredictionString"))
        pairs = [(row.text("ImageId"), [*row.text("PredictionString").split(), ""][0]) for row in rows]
    else:
        pairs = [[*line.split(), ""][:2] for line in read_lines(path)]
    for number, (_, name) in enumerate(pairs, start=1):
        if name not in numbers:
            raise DataError(
                f"entry {number}: no class {name!r}",
                file=path,
                remedy=f"A line reads 'ILSVRC2012_val_00000001.JPEG {classes[0]}' or has a number below {len(classes)}",
            )
    return [Item(Path(name).stem, name, numbers[label]) for name, label in pairs]


def read_devkit(folder: Path, classes: Sequence[str]) -> list[Item]:
    """The pictures of the official validation set; the development kit numbers classes in an order of its own.

    Raises:
        DataError: a number that is no class of the training set.
    """
    meta, truth = folder / "data" / "meta.mat", folder / "data" / "ILSVRC2012_validation_ground_truth.txt"
    check_file(meta)
    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        numbered = zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)
    except Exception as error:  # scipy raises errors of every kind on damaged files
        raise DataError(f"not the development kit's table of classes ({error})", file=meta) from None
    wnids = {str(number): str(wnid) for number, wnid in numbered}
    places = {name: place for place, name in enumerate(classes)}
    items = []
    for line, number in enumerate(read_lines(truth), start=1):
        if wnids.get(number) not in places:
            raise DataError(f"line {line}: {number!r} is no class of the training set", file=truth)
        name = f"ILSVRC2012_val_{line:08d}"
        items.append(Item(name, name, places[wnids[number]]))
    return items


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests and the labels."""
    train, val = options.imagenet / "train", options.imagenet / "val"
    classes = find_classes(val if options.missing == "skip" and not train.is_dir() else train)
    labels = read_names(options.names, classes)
    media, items = {}, {}
    if train.is_dir():
        media["train"] = MediaFolder(train, IMAGES, options.out)
        items["train"] = items_of(media["train"], classes)
    if val.is_dir():
        media["valid"] = MediaFolder(val, IMAGES, options.out)
        items["valid"] = items_of_val(options, media["valid"], classes)
    for split, members in items.items():
        write_split(members, labels, media[split], "image", options.out / f"{split}.tsv", options.missing)
    for split, folder in (("train", train), ("valid", val)):
        if split not in items:
            print(f"{options.out / f'{split}.tsv'}: not written, there is no folder {folder}")


def items_of_val(options: argparse.Namespace, media: MediaFolder, classes: Sequence[str]) -> list[Item]:
    """The pictures of val.

    Raises:
        DataError: it is flat, and nothing tells their classes.
    """
    if options.devkit:
        return read_devkit(options.devkit, classes)
    if options.val_labels:
        return read_val_labels(options.val_labels, classes)
    if set(media.by_folder) <= set(classes):
        return items_of(media, classes)
    raise DataError(
        "it has other folders than train", file=media.folder, remedy="If it is flat, name --devkit or --val-labels"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--imagenet", type=Path, required=True, help="folder that holds train and val")
    parser.add_argument("--val-labels", type=Path, help="classes of a flat val: lines 'name class', or Kaggle's csv")
    parser.add_argument("--devkit", type=Path, help="ILSVRC2012_devkit_t12, which tells the classes of a flat val")
    parser.add_argument("--names", type=Path, help="what to call the classes: LOC_synset_mapping.txt")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
