"""The texts that training reads, from the files as they are published: what the vocabulary is made of."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from one_peace.data.prepare.plain_pickle import read_plain_pickle
from one_peace.modalities.text.reader import clean_text


def training_texts(data: Path) -> list[str]:
    """Every text of the training sets below ``data``, as the text reader reads it."""
    return [text for text in (" ".join(clean_text(text).split()) for text in _texts(data)) if text]


def _texts(data: Path) -> Iterator[str]:
    for picture in _read(data / "coco/dataset_coco.json")["images"]:
        if picture["split"] in ("train", "restval"):
            yield from (sentence["raw"] for sentence in picture["sentences"])
    for refs in sorted((data / "refer").glob("*/refs*.p")):
        yield from (s["sent"] for ref in read_plain_pickle(refs) if ref["split"] == "train" for s in ref["sentences"])
    yield from (q["question"] for q in _read(data / "vqa/v2_OpenEnded_mscoco_train2014_questions.json")["questions"])
    yield from (json.loads(line)["sentence"] for line in (data / "nlvr2/data/train.json").open(encoding="utf-8"))
    for question in _read(data / "avqa/train_qa.json"):
        yield from (f"{question['question_text']} answer: {choice}" for choice in question["multi_choice"])
    for table, column in (("audiocaps/train.csv", "caption"), ("clotho/clotho_captions_development.csv", "caption_1")):
        with (data / table).open(encoding="utf-8", newline="") as file:
            yield from (row[column] for row in csv.DictReader(file))


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))
