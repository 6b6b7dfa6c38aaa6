"""The benchmarks made of stamps: what is pasted where, what is said about it, and the formats, field by field."""

import json
import pickletools
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image

from one_peace.data.prepare.plain_pickle import read_plain_pickle
from one_peace.examples.stampworld import build, catalogue
from one_peace.examples.stampworld.catalogue import Sticker, hold_out, make_stickers, name_of, noun_of
from one_peace.examples.stampworld.expressions import expressions
from one_peace.examples.stampworld.questions import Question, balance
from one_peace.examples.stampworld.scene import COLOURS, OVERLAP, Compositor, draw, scaled
from one_peace.examples.tuxpaint.stamps import find_stamps
from tests.examples.stamp_data import write_stamps
from tests.examples.stamp_meaning import answers_of, meant, truth_of

SIDE = 64


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    return write_stamps(tmp_path_factory.mktemp("in") / "stamps")


@pytest.fixture(scope="module")
def stickers(stamps):
    return make_stickers(find_stamps(stamps))


@pytest.fixture(scope="module")
def built(stamps, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    build.build_pictures(stamps, build.SMALL, SIDE, out, seed=1)
    return out


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("caption", "stamp", "name", "noun"),
    [
        ("A red apple.", "food/fruit/apple_red", "red apple", "apple"),
        ("A “Fuji” apple.", "food/fruit/apple_fuji", "fuji apple", "apple"),
        ("A peacock (a male peafowl).", "animals/birds/peacock", "peacock", "peacock"),
        ("A head of red lettuce.", "food/vegetables/redlettuce", "red lettuce", "lettuce"),
        ("A spider playing soccer.", "animals/insects/cartoon/spider_football", "spider", "spider"),
        ("A sea lion.", "animals/mammals/aquatic/sea_lion", "sea lion", "sea lion"),
        ("The letter a.", "symbols/alphabets/english/filled/lowercase/a_filled", "letter a", "letter a"),
        ("King. Can move one step in any direction.", "symbols/chess/b_1_king", "king", "king"),
        ("– Because a brain is a terrible thing", "sports/football_helmet_2", "football helmet", "helmet"),
    ],
)
def test_names_and_nouns(caption, stamp, name, noun):
    assert name_of(caption, stamp) == name
    assert noun_of(name) == noun


def test_words_go_from_narrow_to_wide(stickers):
    words = {sticker.stamp: sticker.words for sticker in stickers}
    assert words["animals/birds/hen"] == ("brown hen", "hen", "bird", "animal")
    assert words["food/fruit/cherries"] == ("cherries", "fruit")
    assert words["town/roadsigns/sign1"] == ("road sign",), "what explains is no name"
    assert words["household/mug"] == ("mug", "household") and "household" not in catalogue.KINDS


def test_held_out_stamps_share_their_nouns_where_they_can():
    made = [
        Sticker(f"f/{i}", None, noun, noun, "fruit") for i, noun in enumerate(["fig", "fig", "pear", "kiwi", "plum"])
    ]
    for seed in range(10):
        train, held = hold_out(made, 0.2, seed)
        assert [sticker.noun for sticker in held] == ["fig"]
        assert len(train) == 4 and not {s.stamp for s in train} & {s.stamp for s in held}
    assert hold_out(made[:2], 0.5, seed=0) == (made[:2], []), "two are too few to hold one out"


@pytest.mark.parametrize("seed", range(25))
def test_boxes_are_those_of_the_solid_pixels(stickers, seed):
    scene = Compositor([s for s in stickers if s.kind in catalogue.KINDS], SIDE).compose(np.random.default_rng(seed))
    picture = np.asarray(draw(scene), dtype=int)
    assert picture.shape[1::-1] == scene.size and max(scene.size) == SIDE and 1 <= len(scene.things) <= 4
    cover = np.zeros(picture.shape[:2], dtype=bool)
    for thing in reversed(scene.things):
        alpha = np.asarray(scaled(thing.sticker.picture, thing.size, thing.mirrored))[..., 3]
        mask = np.zeros_like(cover)
        x, y = thing.at
        mask[y : y + alpha.shape[0], x : x + alpha.shape[1]] = alpha >= 128
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert thing.box == (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)
        inner = mask & ~cover
        inner[y : y + alpha.shape[0], x : x + alpha.shape[1]] &= alpha == 255
        stamp = np.asarray(Image.open(thing.sticker.picture).convert("RGBA"), dtype=int)
        colour = stamp[stamp[..., 3] == 255][0, :3]
        assert np.median(np.abs(picture[inner] - colour)) < 12, "the stamp is where its box says"
        cover |= mask
    background = np.array(COLOURS[scene.colour])
    assert np.abs(picture[~cover] - background).mean() < 36, "and the background has the colour that it is said to have"
    boxes = [thing.box for thing in scene.things]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            wide, high = (min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
            assert max(0, wide) * max(0, high) <= OVERLAP * min(a[2] * a[3], b[2] * b[3])


def test_expressions_mean_one_thing(stickers):
    compositor = Compositor([s for s in stickers if s.kind in catalogue.KINDS], SIDE)
    seen = Counter()
    for seed in range(150):
        scene = compositor.compose(np.random.default_rng(seed))
        things = scene.record()["things"]
        for i, thing in enumerate(scene.things):
            for sort, texts in expressions(scene, thing).items():
                seen[sort] += len(texts)
                for text in texts:
                    assert meant(text, scene.size, things) == [i], (text, things)
    assert all(seen[sort] > 50 for sort in ("name", "position", "size", "relation"))


def test_refer(built):
    records = {record["image_id"]: record for record in lines(built / "coco/scenes.jsonl")}
    for folder, split_by, splits in (
        ("refcoco", "unc", {"train", "val", "testA", "testB"}),
        ("refcoco+", "unc", {"train", "val", "testA", "testB"}),
        ("refcocog", "umd", {"train", "val", "test"}),
    ):
        path = built / "refer" / folder / f"refs({split_by}).p"
        opcodes = {opcode.name for opcode, _, _ in pickletools.genops(path.read_bytes())}
        assert path.read_bytes()[:2] == b"\x80\x02" and not opcodes & {"GLOBAL", "REDUCE", "BUILD", "LONG1"}
        instances = read(built / "refer" / folder / "instances.json")
        assert instances.keys() == {"info", "licenses", "images", "annotations", "categories"}
        images = {image["id"]: image for image in instances["images"]}
        annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
        names = {category["id"]: category["name"] for category in instances["categories"]}
        for image in images.values():
            (file,) = built.glob(f"coco/*/{image['file_name']}")
            assert Image.open(file).size == (image["width"], image["height"])
        refs = read_plain_pickle(path)
        assert {ref["split"] for ref in refs} == splits
        assert [ref["ref_id"] for ref in refs] == list(range(len(refs)))
        sentences = [sentence for ref in refs for sentence in ref["sentences"]]
        assert [sentence["sent_id"] for sentence in sentences] == list(range(len(sentences)))
        for ref in refs:
            assert ref.keys() == {
                *("ref_id", "ann_id", "image_id", "category_id", "file_name"),
                *("split", "sentences", "sent_ids"),
            }
            annotation, record = annotations[ref["ann_id"]], records[ref["image_id"]]
            assert ref["file_name"] == images[ref["image_id"]]["file_name"][:-4] + f"_{ref['ann_id']}.jpg"
            assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
            assert annotation["image_id"] == ref["image_id"] and annotation["category_id"] == ref["category_id"]
            assert annotation["area"] == annotation["bbox"][2] * annotation["bbox"][3]
            boxes = [thing["box"] for thing in record["things"]]
            place = boxes.index(annotation["bbox"])
            assert names[ref["category_id"]] in record["things"][place]["words"]
            for sentence in ref["sentences"]:
                assert sentence["tokens"] == sentence["sent"].split() and sentence["raw"] == sentence["sent"]
                assert meant(sentence["sent"], record["size"], record["things"]) == [place]
                if folder == "refcoco+":
                    assert not re.search(r"\b(left|right|top|bottom)\b", sentence["sent"])


def test_vqa(built):
    records = {record["image_id"]: record for record in lines(built / "coco/scenes.jsonl")}
    for folder in ("train2014", "val2014", "test2015"):
        asked = read(built / f"vqa/v2_OpenEnded_mscoco_{folder}_questions.json")
        truth = read(built / f"vqa/v2_mscoco_{folder}_annotations.json")
        assert asked.keys() == {"info", "license", "data_type", "data_subtype", "task_type", "questions"}
        assert truth.keys() == {"info", "license", "data_type", "data_subtype", "annotations"}
        assert asked["data_subtype"] == truth["data_subtype"] == folder and len(asked["questions"]) > 10
        answers = defaultdict(Counter)
        for question, annotation in zip(asked["questions"], truth["annotations"], strict=True):
            assert question.keys() == {"image_id", "question_id", "question"}
            assert question["question_id"] == annotation["question_id"]
            assert question["question_id"] // 1000 == question["image_id"] == annotation["image_id"]
            assert (built / f"coco/{folder}/COCO_{folder}_{question['image_id']:012d}.jpg").is_file()
            given = Counter(answer["answer"] for answer in annotation["answers"])
            assert [a["answer_id"] for a in annotation["answers"]] == list(range(1, 11))
            assert given.most_common(1)[0][0] == annotation["multiple_choice_answer"]
            right = answers_of(question["question"], records[question["image_id"]])
            assert set(given) <= right, (question, annotation, records[question["image_id"]])
            answers[question["question"]][annotation["multiple_choice_answer"]] += 1
        for text, counts in answers.items():
            ranks = counts.most_common(2)
            assert len(ranks) == 2 and ranks[0][1] == ranks[1][1], f"{text} alone tells too much: {counts}"


def test_balance_cuts_the_commonest_answer():
    asked = [Question("a?", "", "", answer) for answer in "yyyny"] + [Question("b?", "", "", "1")]
    assert balance(asked) == [0, 3]


def test_nlvr2(built):
    for split, sets in (("train", 6), ("dev", 3), ("test1", 3)):
        records = {record["image"]: record for record in lines(built / f"nlvr2/scenes/{split}.jsonl")}
        examples = lines(built / f"nlvr2/data/{split}.json")
        assert len(examples) == 4 * sets
        labels = defaultdict(list)
        for example in examples:
            assert {
                "sentence",
                "label",
                "identifier",
                "left_url",
                "right_url",
                "writer",
                "validation",
            } <= example.keys()
            name, number, pair, sentence = example["identifier"].split("-")
            assert name == split and int(number) < sets and pair in "01" and sentence in "01"
            pictures = [f"{split}-{number}-{pair}-img{side}.png" for side in (0, 1)]
            folder = built / "nlvr2/images" / split / str(example.get("directory", ""))
            assert all((folder / picture).is_file() for picture in pictures) and ("directory" in example) == (
                split == "train"
            )
            truth = truth_of(example["sentence"], *(records[picture] for picture in pictures))
            assert example["label"] == str(truth), example
            labels[number, sentence].append(example["label"])
        assert all(sorted(each) == ["False", "True"] for each in labels.values())
        backgrounds = [example for example in examples if "background" in example["sentence"]]
        assert len(backgrounds) > len(examples) / 3, "what is easy to see is half of what is said"


def test_karpathy(built):
    data = read(built / "coco/dataset_coco.json")
    records = {record["image_id"]: record for record in lines(built / "coco/scenes.jsonl")}
    assert data["dataset"] == "coco" and Counter(image["split"] for image in data["images"]) == {
        "train": 22,
        "restval": 2,
        "val": 12,
        "test": 12,
    }
    sentences = [sentence for image in data["images"] for sentence in image["sentences"]]
    assert [sentence["sentid"] for sentence in sentences] == list(range(5 * len(data["images"])))
    for place, image in enumerate(data["images"]):
        assert image.keys() == {"filepath", "filename", "cocoid", "imgid", "split", "sentids", "sentences"}
        assert image["imgid"] == place and (built / "coco" / image["filepath"] / image["filename"]).is_file()
        assert image["sentids"] == [sentence["sentid"] for sentence in image["sentences"]]
        record = records[image["cocoid"]]
        words = {word for thing in record["things"] for word in thing["words"]}
        for sentence in image["sentences"]:
            assert sentence["imgid"] == place and re.fullmatch(r"[\w ]+", " ".join(sentence["tokens"]))
            assert record["colour"] in sentence["tokens"] and any(word.rstrip("s") in sentence["raw"] for word in words)


def test_imagenet(built):
    names = dict(line.split(" ", 1) for line in (built / "imagenet/LOC_synset_mapping.txt").read_text().splitlines())
    assert names == {"n00000001": "letter", "n00000002": "road sign"}, "the others have too few stamps"
    for split in ("train", "val"):
        assert {path.name for path in (built / "imagenet" / split).iterdir()} == set(names)
        files = list((built / "imagenet" / split).glob("*/*.JPEG"))
        assert len(files) == {"train": 12, "val": 2}[split], "each stamp once: six of seven are training's"
        assert {Image.open(file).size for file in files} == {(SIDE, SIDE)}


def test_held_out_stamps_are_not_in_training_pictures(built, stickers):
    held = {sticker.stamp for sticker in hold_out(stickers, build.HELD_OUT, 1)[1]}
    scenes = lines(built / "coco/scenes.jsonl")
    scenes += [
        {**s, "split": "train"} for split in ("train", "dev") for s in lines(built / f"nlvr2/scenes/{split}.jsonl")
    ]
    scenes += [{**s, "split": "held_out"} for s in lines(built / "nlvr2/scenes/test1.jsonl")]
    for scene in scenes:
        used = {thing["sticker"] for thing in scene["things"]}
        assert used <= held if scene["split"] == "held_out" else not used & held
