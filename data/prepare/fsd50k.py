"""FSD50K: train.tsv, valid.tsv, test.tsv (the eval set) and labels.txt.

python -m one_peace.data.prepare.fsd50k --fsd50k FSD50K --out OUT

FSD50K holds the unpacked folders FSD50K.ground_truth, FSD50K.dev_audio and FSD50K.eval_audio. Classes are numbered as
vocabulary.csv numbers them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import Entry, read_table, write_labels
from one_peace.data.prepare.labelled_sounds import LabelledSound, write_splits


def read_vocabulary(path: Path) -> dict[str, int]:
    """Class's name -> number."""
    rows = read_table(path, ("number", "name", "mid"), header=False)
    numbers = {row.text("name"): row.integer("number", 0, 10**4) for row in rows}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise DataError("the classes are not numbered 0 to N - 1", file=path, remedy="Take the official vocabulary.csv")
    return numbers


def class_numbers(row: Entry, vocabulary: dict[str, int]) -> str:
    """The numbers of a clip's classes, separated by commas."""
    names = [name.strip() for name in row.text("labels").split(",")]
    if unknown := [name for name in names if name not in vocabulary]:
        raise row.error(f"{unknown[0]!r} is not in vocabulary.csv")
    return ",".join(str(number) for number in sorted(vocabulary[name] for name in names))


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests and the labels."""
    truth = options.fsd50k / "FSD50K.ground_truth"
    vocabulary = read_vocabulary(truth / "vocabulary.csv")
    splits: dict[str, list[LabelledSound]] = {"train": [], "valid": [], "test": []}
    for row in read_table(truth / "dev.csv", ("fname", "labels", "split")):
        split = {"train": "train", "val": "valid"}.get(row.text("split"))
        if split is None:
            raise row.error(f"the split is {row.text('split')!r}, expected train or val")
        splits[split].append(_sound(row, "FSD50K.dev_audio", vocabulary))
    for row in read_table(truth / "eval.csv", ("fname", "labels")):
        splits["test"].append(_sound(row, "FSD50K.eval_audio", vocabulary))
    write_labels(options.out / "labels.txt", (name for name, _ in sorted(vocabulary.items(), key=lambda item: item[1])))
    write_splits(splits, options.fsd50k, options.out, options.missing)


def _sound(row: Entry, folder: str, vocabulary: dict[str, int]) -> LabelledSound:
    name = row.text("fname")
    return LabelledSound(name, [f"{folder}/{name}.wav"], class_numbers(row, vocabulary))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--fsd50k", type=Path, required=True, help="folder that the data set was unpacked into")
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
