"""COCO's pictures, and what RefCOCO, VQAv2 and Karpathy's captions say about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tqdm import tqdm

from one_peace.examples.stampworld.expressions import captions, expressions
from one_peace.examples.stampworld.files import JPEG, fresh, generator, write_json, write_json_lines, write_pickle
from one_peace.examples.stampworld.questions import Question, ask, balance, spread
from one_peace.examples.stampworld.scene import Compositor, Scene, draw

# Split -> COCO's folder. "known" scenes are new ones of the stamps that train shows, "held_out" ones of those it never
# shows.
FOLDERS = {"train": "train2014", "known": "val2014", "known_too": "val2014", "held_out": "test2015"}
REFER_SPLITS = {"train": "train", "known": "val", "known_too": "testA", "held_out": "testB"}
REFCOCOG_SPLITS = {"train": "train", "known": "val", "held_out": "test"}
KARPATHY_SPLITS = {"train": "train", "known": "val", "held_out": "test"}
_RESTVAL = 10  # every tenth of Karpathy's training pictures is of his "restval"
# data set of REFER -> way to split, splits, sorts of expressions
REFER = {
    "refcoco": ("unc", REFER_SPLITS, ("name", "position", "size")),
    "refcoco+": ("unc", REFER_SPLITS, ("name", "size")),
    "refcocog": ("umd", REFCOCOG_SPLITS, ("position", "size", "relation")),
}
_SENTENCES = 2  # at most, a thing
_QUESTIONS = 5  # at most, a scene; balancing leaves fewer


@dataclass(frozen=True)
class Picture:
    """A scene with its id and split."""

    id: int
    split: str
    scene: Scene

    @property
    def name(self) -> str:
        """COCO's name of the file."""
        return f"COCO_{FOLDERS[self.split]}_{self.id:012d}.jpg"


def make_pictures(
    train: Compositor, held_out: Compositor, counts: dict[str, int], out: Path, seed: int
) -> list[Picture]:
    """Composes and draws ``counts[split]`` scenes of each split below ``out``."""
    ids = count(1)
    pictures = []
    for split, number in counts.items():
        compositor = held_out if split == "held_out" else train
        for index in tqdm(range(number), desc=f"scenes, {split}", unit="scene"):
            picture = Picture(next(ids), split, compositor.compose(generator(seed, "scene", split, index)))
            draw(picture.scene).save(fresh(out / FOLDERS[split] / picture.name), **JPEG)
            pictures.append(picture)
    records = ({"image_id": picture.id, "split": picture.split, **picture.scene.record()} for picture in pictures)
    write_json_lines(out / "scenes.jsonl", records)
    return pictures


def write_refer(pictures: Sequence[Picture], out: Path, seed: int) -> None:
    """The folders refcoco, refcoco+ and refcocog of REFER."""
    kinds = sorted({thing.sticker.kind for picture in pictures for thing in picture.scene.things})
    categories = {kind: number for number, kind in enumerate(kinds, start=1)}
    for name, (split_by, splits, sorts) in REFER.items():
        used = [picture for picture in pictures if picture.split in splits]
        write_json(out / name / "instances.json", _instances(used, categories))
        refs: list[dict] = []
        sentence_ids = count()
        for picture in used:
            for number, thing in enumerate(picture.scene.things):
                found = expressions(picture.scene, thing)
                texts = list(dict.fromkeys(text for sort in sorts for text in found[sort]))
                order = generator(seed, name, picture.id, number).permutation(len(texts))[:_SENTENCES]
                if sentences := [_sentence(texts[i], next(sentence_ids)) for i in order]:
                    annotation = _annotation_id(picture, number)
                    refs.append(
                        {
                            "ref_id": len(refs),
                            "ann_id": annotation,
                            "image_id": picture.id,
                            "category_id": categories[thing.sticker.kind],
                            "file_name": picture.name.replace(".jpg", f"_{annotation}.jpg"),
                            "split": splits[picture.split],
                            "sentences": sentences,
                            "sent_ids": [sentence["sent_id"] for sentence in sentences],
                        }
                    )
        write_pickle(out / name / f"refs({split_by}).p", refs)


def _sentence(text: str, number: int) -> dict:
    return {"sent_id": number, "raw": text, "sent": text, "tokens": text.split()}


def _annotation_id(picture: Picture, thing: int) -> int:
    return picture.id * 10 + thing


def _instances(pictures: Sequence[Picture], categories: dict[str, int]) -> dict:
    """COCO's instances.json; the outlines are the boxes."""
    images, annotations = [], []
    for picture in pictures:
        width, height = picture.scene.size
        images.append({"id": picture.id, "file_name": picture.name, "width": width, "height": height, "license": 1})
        for number, thing in enumerate(picture.scene.things):
            x, y, w, h = thing.box
            annotations.append(
                {
                    "id": _annotation_id(picture, number),
                    "image_id": picture.id,
                    "category_id": categories[thing.sticker.kind],
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )
    return {
        "info": {"description": "Scenes of Tux Paint's stamps", "version": "1.0", "year": 2022},
        "licenses": [{"id": 1, "name": "GPL-2", "url": ""}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": n, "name": kind, "supercategory": "stamp"} for kind, n in categories.items()],
    }


def write_karpathy(pictures: Sequence[Picture], out: Path, seed: int) -> None:
    """dataset_coco.json."""
    images: list[dict] = []
    sentence_ids = count()
    for picture in pictures:
        if picture.split not in KARPATHY_SPLITS:
            continue
        split = KARPATHY_SPLITS[picture.split]
        sentences = [
            {"raw": text, "tokens": text.replace(",", "").replace(":", "").split(), "sentid": next(sentence_ids)}
            for text in captions(picture.scene, generator(seed, "captions", picture.id))
        ]
        images.append(
            {
                "filepath": FOLDERS[picture.split],
                "filename": picture.name,
                "cocoid": picture.id,
                "imgid": len(images),
                "split": "restval" if split == "train" and picture.id % _RESTVAL == 0 else split,
                "sentids": [sentence["sentid"] for sentence in sentences],
                "sentences": [{**sentence, "imgid": len(images)} for sentence in sentences],
            }
        )
    write_json(out / "dataset_coco.json", {"dataset": "coco", "images": images})


def write_vqa(pictures: Sequence[Picture], out: Path, seed: int) -> None:
    """Questions and annotations of train2014, val2014 and test2015. VQA keeps the answers of test2015 on its server;
    here they lie beside the others, for `score_vqa`."""
    for folder in dict.fromkeys(FOLDERS.values()):
        chosen = [picture for picture in pictures if FOLDERS[picture.split] == folder]
        asked: list[tuple[int, Question]] = []
        for index, picture in enumerate(chosen):
            other = chosen[(index + 1) % len(chosen)].scene
            rng = generator(seed, "ask", picture.id)
            asked += [(picture.id, q) for q in spread(ask(picture.scene, other, rng), _QUESTIONS, rng)]
        kept = [asked[place] for place in balance([question for _, question in asked])]
        by_image: dict[int, list[Question]] = {}
        for image, question in kept:
            by_image.setdefault(image, []).append(question)
        head = {
            "info": {"description": "Questions about scenes of stamps", "version": "2.0", "year": 2017},
            "license": {"name": "GPL-2", "url": ""},
            "data_type": "mscoco",
            "data_subtype": folder,
        }
        questions, annotations = [], []
        for image, about in by_image.items():
            rng = generator(seed, "answers", image)
            for number, question in enumerate(about):
                ids = {"image_id": image, "question_id": image * 1000 + number}
                questions.append({**ids, "question": question.text})
                answers = [
                    {"answer": answer, "answer_confidence": "yes", "answer_id": i}
                    for i, answer in enumerate(question.answers(rng), start=1)
                ]
                annotations.append(
                    {
                        **ids,
                        "question_type": question.type,
                        "answer_type": question.answer_type,
                        "multiple_choice_answer": question.answer,
                        "answers": answers,
                    }
                )
        task = {**head, "task_type": "Open-Ended"}
        write_json(out / f"v2_OpenEnded_mscoco_{folder}_questions.json", {**task, "questions": questions})
        write_json(out / f"v2_mscoco_{folder}_annotations.json", {**head, "annotations": annotations})
