"""Small benchmarks in the layout of their official downloads, odd captions included."""

import csv
import json
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import yaml
from PIL import Image

ODD = 'a "red"\tsquare\nand a\r\n 赤い kite \ud83d'
ODD_CELL = 'a "red" square and a  赤い kite ?'
COLOURS = ("red", "green", "blue", "yellow")


def write_picture(path: Path, number: int = 0, size: tuple[int, int] = (48, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[number % len(COLOURS)]).save(path)


def write_sound(path: Path, number: int = 0, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(8000 * seconds)) / 8000
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 110 * (1 + number) * times), 8000)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_csv(path: Path, rows: Iterable[Sequence[object]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def captions(number: int) -> list[str]:
    """Five, the first of which is odd."""
    return [ODD if number == 0 else f"a {COLOURS[number % 4]} square, {number}"] + [
        f"caption {i} of {number}" for i in range(1, 5)
    ]


def write_coco(root: Path, splits: Sequence[str] = ("train", "restval", "val", "test"), each: int = 2) -> None:
    """``dataset_coco.json`` and images/{train2014,val2014}."""
    images = []
    for number, split in enumerate(split for split in splits for _ in range(each)):
        folder = "train2014" if split == "train" else "val2014"
        name = f"COCO_{folder}_{number:012d}.jpg"
        write_picture(root / "images" / folder / name, number)
        images.append(
            {
                "filepath": folder,
                "filename": name,
                "imgid": number,
                "cocoid": 1000 + number,
                "split": split,
                "sentences": [{"raw": text, "tokens": text.split(), "sentid": 1} for text in captions(number)],
            }
        )
    write_json(root / "dataset_coco.json", {"images": images, "dataset": "coco"})


def write_flickr30k(root: Path, each: int = 2) -> None:
    """Karpathy's JSON, and the official captions in both forms with lists of the splits."""
    images, rows, tokens = [], [["image_name", " comment_number", " comment"]], []
    (root / "splits").mkdir(parents=True)
    for number, split in enumerate(split for split in ("train", "val", "test") for _ in range(each)):
        name = f"{1000 + number}.jpg"
        write_picture(root / "flickr30k-images" / name, number)
        texts = [text.replace("\n", " ").replace("\r", "").replace("\t", " ") for text in captions(number)]
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        images.append({"filename": name, "imgid": number, "split": split, "sentences": [{"raw": t} for t in texts]})
        rows += [[name, f" {i}", f" {text}"] for i, text in enumerate(texts)]
        tokens += [f"{name}#{i}\t{text}" for i, text in enumerate(texts)]
        with (root / "splits" / f"{split}.txt").open("a") as file:
            file.write(f"{name if number % 2 else 1000 + number}\n")
    write_json(root / "dataset_flickr30k.json", {"images": images})
    rows[7] = [rows[7][0], f" 1   {rows[7][2].strip()}"]  # the official file has such a line
    (root / "results.csv").write_text("".join("|".join(row) + "\n" for row in rows))
    (root / "results_20130124.token").write_text("".join(f"{line}\n" for line in tokens))


def write_audiocaps(root: Path, each: int = 2) -> None:
    """train.csv, val.csv, test.csv, and sounds named in the ways people name them."""
    number = 0
    for split, count in (("train", 1), ("val", 5), ("test", 5)):
        rows: list[Sequence[object]] = [("audiocap_id", "youtube_id", "start_time", "caption")]
        for clip in range(each):
            youtube, start = f"-{split}_clip{clip:02d}", 30 * clip
            ids = [10_000 + 10 * number + i for i in range(count)]
            rows += [(i, youtube, start, text) for i, text in zip(ids, captions(number), strict=False)]
            name = (youtube, f"Y{youtube}", str(ids[0]))[number % 3]
            write_sound(root / split / f"{name}.wav", number, seconds=1 + 0.25 * number)
            number += 1
        write_csv(root / f"{split}.csv", [[_no_surrogate(cell) for cell in row] for row in rows])


def _no_surrogate(cell: object) -> object:
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell


def write_clotho(root: Path, each: int = 2) -> None:
    """Caption files and folders of the three splits; names have spaces and dots."""
    for split in ("development", "validation", "evaluation"):
        rows: list[Sequence[object]] = [("file_name", *(f"caption_{i}" for i in range(1, 6)))]
        for number in range(each):
            name = f"{split} rain, heavy.{number}.wav"
            write_sound(root / split / name, number)
            rows.append((name, *map(_no_surrogate, captions(number))))
        write_csv(root / f"clotho_captions_{split}.csv", rows)


def write_macs(root: Path, each: int = 2) -> None:
    """MACS.yaml and the sounds."""
    files = []
    for number in range(each):
        name = f"airport-lisbon-0-{number}-a.wav"
        write_sound(root / "audio" / name, number)
        texts = [{"annotator_id": 1, "sentence": _no_surrogate(text), "tags": ["x"]} for text in captions(number)]
        files.append({"filename": name, "annotations": texts})
    (root / "MACS.yaml").write_text(yaml.safe_dump({"files": files}, allow_unicode=True))


def write_esc50(root: Path, each: int = 2) -> None:
    """meta/esc50.csv and audio/."""
    rows: list[Sequence[object]] = [("filename", "fold", "target", "category", "esc10", "src_file", "take")]
    for target, category in enumerate(("dog", "chirping_birds", "vacuum_cleaner")):
        for take in range(each):
            name = f"{1 + take}-{100 + target}-A-{target}.wav"
            write_sound(root / "audio" / name, target)
            rows.append((name, 1 + take, target, category, "True", 100 + target, "A"))
    write_csv(root / "meta" / "esc50.csv", rows)


def write_fsd50k(root: Path, each: int = 4) -> None:
    """The three folders that the archives unpack into."""
    truth, names = root / "FSD50K.ground_truth", ("Acoustic_guitar", "Bark", "Dog", "Music")
    write_csv(truth / "vocabulary.csv", [(i, name, f"/m/0{i}") for i, name in enumerate(names)])
    dev: list[Sequence[object]] = [("fname", "labels", "mids", "split")]
    evaluation: list[Sequence[object]] = [("fname", "labels", "mids")]
    for number in range(3 * each):
        labels = ("Acoustic_guitar,Music", "Dog,Bark", "Music")[number % 3]
        split = ("train", "val", "eval")[number // each]
        folder = "FSD50K.eval_audio" if split == "eval" else "FSD50K.dev_audio"
        write_sound(root / folder / f"{64000 + number}.wav", number)
        row = (64000 + number, labels, "/m/0", split)
        (evaluation if split == "eval" else dev).append(row[:3] if split == "eval" else row)
    write_csv(truth / "dev.csv", dev)
    write_csv(truth / "eval.csv", evaluation)


def write_vggsound(root: Path, each: int = 4) -> None:
    """vggsound.csv, clips and three frames of each."""
    rows = []
    for number in range(2 * each):
        youtube, start = f"-video{number:04d}", 30 + number
        label = ("people marching", "dog barking", "tapping guitar, loud")[number % 3]
        rows.append((youtube, start, label, "train" if number < each else "test"))
        name = (f"{youtube}_{start:06d}", f"{youtube}_{start}", youtube)[number % 3]
        write_sound(root / "clips" / f"{name}.wav", number)
        for frame in range(3):
            write_picture(root / "frames" / f"{youtube}_{start:06d}" / f"{frame}.jpg", frame)
    write_csv(root / "vggsound.csv", rows)


def write_avqa(root: Path, each: int = 4) -> None:
    """train_qa.json, val_qa.json and a sound for each video."""
    for split in ("train", "val"):
        questions = []
        for number in range(each):
            video = f"-{split}{number:04d}_000030"
            write_sound(root / "clips" / f"{video}.wav", number)
            questions.append(
                {
                    "id": 100 + number,
                    "video_name": video,
                    "video_id": number,
                    "question_text": "What &&& happened\tin the video?",
                    "multi_choice": ["motorboat", 'a "dog"\nbarks', "rain", "wind"],
                    "answer": number % 4,
                    "question_relation": "View",
                    "question_type": "Happening",
                }
            )
        write_json(root / f"{split}_qa.json", questions)


def write_vqa(root: Path, each: int = 6) -> None:
    """Questions and annotations of train, val and test, and the pictures."""
    answers = (["yes"] * 10, ["2"] * 4 + ["two"] * 2 + ["3"] * 3 + ["no idea"], ["no"] * 9 + ["No!"])
    for official, pictures in (("train2014", "train2014"), ("val2014", "val2014"), ("test2015", "test2015")):
        questions, annotations = [], []
        for number in range(each):
            image = 500 + number // 2
            write_picture(root / "images" / pictures / f"COCO_{pictures}_{image:012d}.jpg", number)
            questions.append({"image_id": image, "question": f"Is it {ODD}?", "question_id": image * 1000 + number})
            given = answers[number % 3]
            annotations.append(
                {
                    "question_id": image * 1000 + number,
                    "image_id": image,
                    "multiple_choice_answer": given[0],
                    "answers": [{"answer": text, "answer_id": i} for i, text in enumerate(given, start=1)],
                }
            )
        write_json(root / f"v2_OpenEnded_mscoco_{official}_questions.json", {"questions": questions})
        if not official.startswith("test"):
            write_json(root / f"v2_mscoco_{official}_annotations.json", {"annotations": annotations})


def write_nlvr2(root: Path, each: int = 4) -> None:
    """train.json, dev.json, test1.json and the pairs of pictures; train's are in folders."""
    for split in ("train", "dev", "test1"):
        examples = []
        for number in range(each):
            base = f"{split}-{number // 2}-{number}"
            folder = root / "images" / (f"train/{number % 3}" if split == "train" else split)
            for side in (0, 1):
                write_picture(folder / f"{base}-img{side}.png", number + side)
            label = "True" if number % 2 else "False"
            examples.append({"identifier": f"{base}-0", "sentence": f"There are {ODD}.", "label": label})
        (root / f"{split}.json").write_text("".join(json.dumps(example) + "\n" for example in examples))


def write_refer(root: Path, each: int = 4, split_by: str = "unc", protocol: int = 2) -> None:
    """refs(...).p, instances.json and images."""
    splits = ("train", "val", "testA", "testB") if split_by == "unc" else ("train", "val", "test")
    refs, images, annotations = [], [], []
    for number, split in enumerate(split for split in splits for _ in range(each)):
        name = f"COCO_train2014_{number:012d}.jpg"
        write_picture(root / "images" / name, number, size=(64, 48))
        images.append({"id": number, "file_name": name, "width": 64, "height": 48})
        annotations.append({"id": 70 + number, "image_id": number, "bbox": [8, 4.5, 24.25, 30], "category_id": 1})
        sentences = [{"sent_id": 2 * number + i, "sent": text} for i, text in enumerate((f"a {ODD}", "left one"))]
        ref = {"ref_id": number, "ann_id": 70 + number, "image_id": number, "split": split, "sentences": sentences}
        refs.append(ref | {"file_name": name.replace(".jpg", "_1.jpg"), "sent_ids": [2 * number, 2 * number + 1]})
    (root / f"refs({split_by}).p").write_bytes(pickle.dumps(_plain(refs), protocol))
    write_json(root / "instances.json", {"images": images, "annotations": annotations})


def _plain(value: object) -> object:
    """Without lone surrogates, which no pickle of Python 2 has."""
    return json.loads(json.dumps(value).replace("\\ud83d", "?"))


def write_classes(root: Path, each: int = 2, classes: Sequence[str] = ("n01440764", "n01443537", "n02119789")) -> None:
    """A sub-folder of pictures for each class."""
    for label, name in enumerate(classes):
        for number in range(each):
            write_picture(root / name / f"{name}_{number}.JPEG", label)
