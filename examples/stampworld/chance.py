"""What guessing gives: ``python -m one_peace.examples.stampworld.chance DIR``, DIR being what `build` wrote.

A guess may know the training set and, where there is one, the question with its choices; never the picture or sound.
Prints a table and writes DIR/chance.json, everything in percent.
"""

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from one_peace.data.prepare.plain_pickle import read_plain_pickle
from one_peace.examples.stampworld.files import write_json
from one_peace.examples.stampworld.score_vqa import soft_accuracy

Row = tuple[str, str, str, float]  # benchmark, split, metric, share


def refer(data: Path) -> Iterator[Row]:
    """Always the box that meets most of the training set's with an IoU of at least a half."""
    for folder in sorted((data / "refer").iterdir()):
        instances = _json(folder / "instances.json")
        sizes = {image["id"]: (image["width"], image["height"]) for image in instances["images"]}
        boxes = {a["id"]: _corners(a["bbox"], sizes[a["image_id"]]) for a in instances["annotations"]}
        splits: dict[str, list[np.ndarray]] = defaultdict(list)
        for ref in read_plain_pickle(next(folder.glob("refs*.p"))):
            splits[ref["split"]] += [boxes[ref["ann_id"]]] * len(ref["sentences"])
        train = np.array(splits.pop("train"))
        guess = max(_squares(), key=lambda box: _hits(box, train))
        for split, truth in splits.items():
            yield folder.name, split, "acc_iou50", _hits(guess, np.array(truth))


def _corners(box: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """x, y, width, height -> x0, y0, x1, y1 as shares of the picture's size."""
    x, y, width, height = box
    return np.array([x, y, x + width, y + height]) / [*size, *size]


def _squares() -> Iterator[np.ndarray]:
    """Squares of several sizes all over the picture."""
    for side in np.linspace(0.1, 0.9, 17):
        for x in np.linspace(0, 1 - side, 9):
            for y in np.linspace(0, 1 - side, 9):
                yield np.array([x, y, x + side, y + side])


def _hits(box_4: np.ndarray, truth_N4: np.ndarray) -> float:
    """The share of ``truth`` that the box meets."""
    low, high = np.maximum(box_4[:2], truth_N4[:, :2]), np.minimum(box_4[2:], truth_N4[:, 2:])
    common = np.prod(np.maximum(0, high - low), axis=1)
    areas = np.prod(truth_N4[:, 2:] - truth_N4[:, :2], axis=1) + np.prod(box_4[2:] - box_4[:2])
    return float((common / (areas - common) >= 0.5).mean())


def vqa(data: Path) -> Iterator[Row]:
    """The training set's commonest answer: of all, and of each question."""
    train = _asked(data, "train2014")
    overall = _commonest(answer for _, answers in train for answer in answers)
    by_text: dict[str, list[str]] = defaultdict(list)
    for text, answers in train:
        by_text[text] += answers
    guesses = {text: _commonest(answers) for text, answers in by_text.items()}
    for split, folder in {"val": "val2014", "test": "test2015"}.items():
        asked = _asked(data, folder)
        yield "vqa", split, "vqa_score", _mean(soft_accuracy(overall, given) for _, given in asked)
        by_question = (soft_accuracy(guesses.get(text, overall), given) for text, given in asked)
        yield "vqa", split, "vqa_score, knowing the question", _mean(by_question)


def _asked(data: Path, folder: str) -> list[tuple[str, list[str]]]:
    """Questions and what people answered."""
    questions = _json(data / f"vqa/v2_OpenEnded_mscoco_{folder}_questions.json")["questions"]
    texts = {question["question_id"]: question["question"] for question in questions}
    annotations = _json(data / f"vqa/v2_mscoco_{folder}_annotations.json")["annotations"]
    return [(texts[a["question_id"]], [given["answer"] for given in a["answers"]]) for a in annotations]


def nlvr2(data: Path) -> Iterator[Row]:
    """Always the commoner label, of all sentences and of each."""
    for split in ("dev", "test1"):
        labels: dict[str, list[str]] = defaultdict(list)
        for line in (data / f"nlvr2/data/{split}.json").read_text(encoding="utf-8").splitlines():
            example = json.loads(line)
            labels[example["sentence"]].append(example["label"])
        best = sum(max(Counter(each).values()) for each in labels.values())
        yield "nlvr2", split, "accuracy, knowing the sentence", best / sum(map(len, labels.values()))


def retrieval(data: Path) -> Iterator[Row]:
    """Any order: a text has one right picture or sound, a picture or sound as many right texts as captions."""
    captions: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for image in _json(data / "coco/dataset_coco.json")["images"]:
        captions["coco_retrieval", image["split"]][image["filename"]] += len(image["sentences"])
    for split in ("val", "test"):
        captions["audiocaps", split].update(row["youtube_id"] for row in _table(data / f"audiocaps/{split}.csv"))
    for split in ("validation", "evaluation"):
        for row in _table(data / f"clotho/clotho_captions_{split}.csv"):
            captions["clotho", split][row["file_name"]] += len(row) - 1
    for (benchmark, split), counts in captions.items():
        total = sum(counts.values())
        for k in (1, 5, 10) if "train" not in split and split != "restval" else ():
            yield benchmark, split, f"text -> media R@{k}", min(1, k / len(counts))
            missed = (comb(total - right, k) / comb(total, k) for right in counts.values())
            yield benchmark, split, f"media -> text R@{k}", 1 - _mean(missed)


def classes(data: Path) -> Iterator[Row]:
    """Always the training set's commonest class; any one where there is no training set (ESC-50)."""
    train = _commonest(path.parent.name for path in sorted((data / "imagenet/train").glob("*/*")))
    val = [path.parent.name for path in (data / "imagenet/val").glob("*/*")]
    yield "imagenet", "val", "accuracy", _mean(name == train for name in val)
    yield "esc50", "test", "accuracy", 1 / len({row["category"] for row in _table(data / "esc50/meta/esc50.csv")})
    clips = _table(data / "vggsound/vggsound.csv", ("video", "start", "label", "split"))
    train = _commonest(clip["label"] for clip in clips if clip["split"] == "train")
    yield "vggsound", "test", "accuracy", _mean(clip["label"] == train for clip in clips if clip["split"] == "test")


def fsd50k(data: Path) -> Iterator[Row]:
    """All scores equal: a class's average precision is the share of clips that have it."""
    truth = data / "fsd50k/FSD50K.ground_truth"
    names = [row["name"] for row in _table(truth / "vocabulary.csv", ("number", "name", "mid"))]
    clips = {
        "val": [row for row in _table(truth / "dev.csv") if row["split"] == "val"],
        "eval": _table(truth / "eval.csv"),
    }
    for split, rows in clips.items():
        labels = [row["labels"].split(",") for row in rows]
        # a class that no clip has counts for nothing
        shares = [share for name in names if (share := _mean(name in each for each in labels))]
        yield "fsd50k", split, "map", _mean(shares)


def avqa(data: Path) -> Iterator[Row]:
    """Any choice; and the choice that most often was right for this question in the training set, when offered."""
    offered, right = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for question in _json(data / "avqa/train_qa.json"):
        pairs = [(question["question_text"], choice) for choice in question["multi_choice"]]
        offered.update(pairs)
        right[pairs[question["answer"]]] += 1
    questions = _json(data / "avqa/val_qa.json")
    hits = []
    for question in questions:
        pairs = [(question["question_text"], choice) for choice in question["multi_choice"]]
        guess = max(range(len(pairs)), key=lambda i: right[pairs[i]] / max(1, offered[pairs[i]]))
        hits.append(guess == question["answer"])
    yield "avqa", "val", "accuracy", _mean(1 / len(question["multi_choice"]) for question in questions)
    yield "avqa", "val", "accuracy, knowing the question", _mean(hits)


MEASURES: tuple[Callable[[Path], Iterator[Row]], ...] = (refer, vqa, nlvr2, retrieval, classes, fsd50k, avqa)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _table(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, columns))


def _commonest(values: Iterable[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.stampworld.chance", description="Print what guessing gives."
    )
    parser.add_argument("data", type=Path, help="what one_peace.examples.stampworld.build wrote")
    args = parser.parse_args(argv)
    rows = [row for measure in MEASURES for row in measure(args.data)]
    table: dict[str, dict[str, dict[str, float]]] = {}
    print("| benchmark | split | metric | percent |\n|---|---|---|---:|")
    for benchmark, split, metric, share in rows:
        print(f"| {benchmark} | {split} | {metric} | {100 * share:.1f} |")
        table.setdefault(benchmark, {}).setdefault(split, {})[metric] = 100 * share
    write_json(args.data / "chance.json", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
