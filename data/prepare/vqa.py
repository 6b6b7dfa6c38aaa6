"""VQAv2: train.tsv, valid.tsv, test.tsv and, where its questions are there, test_dev.tsv; ans2label.json.

python -m one_peace.data.prepare.vqa --vqa VQA --images coco --out OUT

VQA holds the official v2_OpenEnded_mscoco_*_questions.json and v2_mscoco_*_annotations.json; coco the folders
train2014, val2014 and test2015. The classes are the answers chosen for at least nine questions of train and val
(3129 of them), or those of an ans2label.json you have, which an existing checkpoint needs.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from one_peace.data.errors import DataError
from one_peace.data.labels import read_labels
from one_peace.data.prepare.command import make_parser, report, run
from one_peace.data.prepare.files import Entry, clean_cell, read_json, write_json, write_manifest
from one_peace.data.prepare.media import IMAGES, LeftOut, MediaFolder, without_damaged, write_rows
from one_peace.data.prepare.vqa_answers import build_vocabulary, normalise, soft_scores

COLUMNS = ("uniq_id", "image", "question", "refs")
# manifest -> official name of the split, of its pictures
_SPLITS = {
    "train": ("train2014", "train2014"),
    "valid": ("val2014", "val2014"),
    "test_dev": ("test-dev2015", "test2015"),
    "test": ("test2015", "test2015"),
}


def read_annotations(path: Path) -> dict[str, Entry]:
    """Question's id -> its annotation."""
    found = Entry.list_of(Entry(read_json(path), path, "file").get("annotations", list), path, "annotation")
    return {annotation.id("question_id"): annotation for annotation in found}


def format_refs(scores: Mapping[str, float], vocabulary: Mapping[str, int]) -> str:
    """``answer|!+class|!+score`` joined by ``&&``."""
    return "&&".join(f"{answer}|!+{vocabulary[answer]}|!+{score}" for answer, score in scores.items())


def rows_of(
    questions: Sequence[Entry],
    annotations: Mapping[str, Entry] | None,
    vocabulary: Mapping[str, int],
    pictures: str,
    media: MediaFolder,
    left_out: LeftOut,
) -> Iterator[tuple[str, str, str, str]]:
    """The manifest's rows of a split; without annotations (None: test) their refs are empty."""
    for question in tqdm(questions, desc=f"questions about {pictures}", delay=2, file=sys.stderr):
        id = question.id("question_id")
        name = f"COCO_{pictures}_{question.integer('image_id', 0, 10**12 - 1):012d}.jpg"
        cell = media.find(f"{pictures}/{name}", name)
        if cell is None:
            left_out.add_missing(name)
            continue
        refs = ""
        if annotations is not None:
            if id not in annotations:
                raise question.error(f"question {id} has no annotation")
            answers = [answer.text("answer") for answer in annotations[id].entries("answers")]
            refs = format_refs(soft_scores(answers, vocabulary), vocabulary)
        yield id, cell, clean_cell(question.text("question")), refs


def choose_vocabulary(options: argparse.Namespace, splits: Iterable[Mapping[str, Entry]]) -> dict[str, int]:
    """The classes: --ans2label's, or the frequent answers of the annotations.

    Raises:
        DataError: there is none, or one that a manifest cannot hold.
    """
    if options.ans2label:
        source = options.ans2label
        vocabulary = {answer: number for number, answer in enumerate(read_labels(source))}
    else:
        chosen = (
            normalise(annotation.text("multiple_choice_answer")) for split in splits for annotation in split.values()
        )
        source = options.vqa
        vocabulary = build_vocabulary(chosen, options.min_count)
    if not vocabulary:
        raise DataError(f"no answer occurs {options.min_count} times", file=source, remedy="Lower --min-count")
    if bad := [answer for answer in vocabulary if "&&" in answer or "|!+" in answer]:
        raise DataError(f"the answer {bad[0]!r} holds what separates answers in a manifest", file=source)
    return vocabulary


def prepare(options: argparse.Namespace) -> None:
    """Write the manifests and the vocabulary."""
    annotations = {
        split: read_annotations(options.vqa / f"v2_mscoco_{_SPLITS[split][0]}_annotations.json")
        for split in ("train", "valid")
    }
    vocabulary = choose_vocabulary(options, annotations.values())
    write_json(options.out / "ans2label.json", vocabulary)
    print(f"{options.out / 'ans2label.json'}: {len(vocabulary)} answers")
    media = MediaFolder(options.images, IMAGES, options.out)
    train: list[tuple[str, str, str, str]] = []
    for split, (official, pictures) in _SPLITS.items():
        path = options.vqa / f"v2_OpenEnded_mscoco_{official}_questions.json"
        manifest = options.out / f"{split}.tsv"
        if split.startswith("test") and not path.is_file():
            print(f"{manifest}: not written, there is no {path.name}")
            continue
        questions = Entry.list_of(Entry(read_json(path), path, "file").get("questions", list), path, "question")
        left_out = LeftOut(options.missing)
        rows = list(rows_of(questions, annotations.get(split), vocabulary, pictures, media, left_out))
        rows = without_damaged(rows, lambda row: (row[1],), "image", manifest, left_out)
        left_out.finish(manifest)
        write_rows(manifest, COLUMNS, rows, left_out)
        if split.startswith("test") and len(rows) < len(questions):
            print(f"{manifest.name}: a submission must answer all {len(questions)} questions", file=sys.stderr)
        train += rows if split in annotations else []
    if options.join_valid:
        manifest = options.out / "train.tsv"
        report(manifest, write_manifest(manifest, COLUMNS, train), " (train and valid)")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = make_parser(__spec__.name, __doc__)
    parser.add_argument("--vqa", type=Path, required=True, help="folder of the official JSON files")
    parser.add_argument("--images", type=Path, required=True, help="folder that holds train2014, val2014 and test2015")
    parser.add_argument("--ans2label", type=Path, help="classes you have: a JSON {answer: class}")
    parser.add_argument(
        "--min-count", type=int, default=9, help="questions an answer must be chosen for (default: %(default)s)"
    )
    parser.add_argument(
        "--join-valid", action="store_true", help="train on valid too, as for a submission to the test server"
    )
    return run(parser, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
