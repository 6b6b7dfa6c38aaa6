"""VGGSound: train.tsv, test.tsv and labels.txt; with --frames the manifests have one more column, pictures of the video
joined by "|".

python -m one_peace.data.prepare.vggsound --csv vggsound.csv --sounds SOUNDS --out OUT

The csv is the official one, without a header: youtube id, start in seconds, label, split. SOUNDS holds the clips, named
"ID_000030.wav" (start with six digits), "ID_30.wav", "ID_30000_40000.wav" or "ID.wav". Classes are numbered in
alphabetical order, or as --labels says, which an existing checkpoint may need.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.labels import read_labels
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import read_table, write_labels
from one_peace.data.prepare.labelled_sounds import LabelledSound, add_sound_options, write_splits

_SECONDS = 10  # of every clip


def clip_names(youtube: str, start: int) -> list[str]:
    """What a clip's file may be called, without its ending."""
    milliseconds = f"{start * 1000}_{(start + _SECONDS) * 1000}"
    return [f"{youtube}_{start:06d}", f"{youtube}_{start}", f"{youtube}_{milliseconds}", youtube]


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests and the labels."""
    rows = list(read_table(options.csv, ("youtube_id", "start", "label", "split"), header=False))
    known = {row.text("label") for row in rows}
    labels = read_labels(options.labels) if options.labels else sorted(known)
    numbers = {label: number for number, label in enumerate(labels)}
    if unknown := sorted(known - numbers.keys()):
        raise DataError(f"no label {unknown[0]!r}", file=options.labels, remedy="One label a line, as the csv has them")
    splits: dict[str, list[LabelledSound]] = {"train": [], "test": []}
    for row in rows:
        youtube, start, split = row.text("youtube_id"), row.integer("start", 0, 10**6), row.text("split")
        if split not in splits:
            raise row.error(f"the split is {split!r}, expected train or test")
        number = str(numbers[row.text("label")])
        splits[split].append(LabelledSound(f"{youtube}_{start:06d}", clip_names(youtube, start), number))
    write_labels(options.out / "labels.txt", labels)
    write_splits(splits, options.sounds, options.out, options.missing, options.frames, options.num_frames)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--csv", type=Path, required=True, help="vggsound.csv")
    parser.add_argument("--labels", type=Path, help="labels in the order of their numbers: one a line, or JSON")
    add_sound_options(parser)
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
