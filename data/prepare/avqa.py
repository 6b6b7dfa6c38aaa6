"""AVQA: train.tsv and valid.tsv; with --frames they have one more column, pictures of the video joined by "|".

python -m one_peace.data.prepare.avqa --avqa AVQA --sounds SOUNDS --out OUT

AVQA holds train_qa.json and val_qa.json; SOUNDS a sound for each video, named by it ("-HG3Omg_89c_000030.wav").
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from one_peace.data.choices import SEPARATOR
from one_peace.data.prepare.command import make_parser, run
from one_peace.data.prepare.files import Entry, clean_cell, read_json
from one_peace.data.prepare.labelled_sounds import LabelledSound, add_sound_options, write_splits

CHOICES = 4


def format_question(question: Entry) -> str:
    """``question&&&a1&&&a2&&&a3&&&a4&&&index`` (of the right answer, from 0)."""
    choices = question.get("multi_choice", list)
    if len(choices) != CHOICES or not all(isinstance(choice, str) for choice in choices):
        raise question.error(f"'multi_choice' is {str(choices)[:80]}, expected {CHOICES} texts")
    texts = [clean_cell(text).replace(SEPARATOR, "&") for text in (question.text("question_text"), *choices)]
    return SEPARATOR.join([*texts, str(question.integer("answer", 0, CHOICES - 1))])


def read_questions(path: Path) -> list[LabelledSound]:
    """The questions of train_qa.json or val_qa.json."""
    return [
        LabelledSound(question.id("id"), [question.text("video_name")], format_question(question))
        for question in Entry.list_of(read_json(path), path, "question")
    ]


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests."""
    splits = {"train": "train_qa.json", "valid": "val_qa.json"}
    questions = {split: read_questions(options.avqa / name) for split, name in splits.items()}
    write_splits(questions, options.sounds, options.out, options.missing, options.frames, options.num_frames)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--avqa", type=Path, required=True, help="folder with train_qa.json and val_qa.json")
    add_sound_options(parser)
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
