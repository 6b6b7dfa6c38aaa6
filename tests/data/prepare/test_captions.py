"""COCO, Flickr30K, AudioCaps, Clotho and MACS."""

import json

import pytest
import yaml

from one_peace.data.prepare.captions import AUDIO_COLUMNS, IMAGE_COLUMNS
from tests.data.prepare.conftest import rows
from tests.data.prepare.official import (
    ODD_CELL,
    write_audiocaps,
    write_clotho,
    write_coco,
    write_flickr30k,
    write_json,
    write_macs,
)


def test_coco(prepare, tmp_path):
    write_coco(tmp_path)
    out = prepare("coco_retrieval", "--karpathy dataset_coco.json --images images")
    train = rows(out / "train.tsv", *IMAGE_COLUMNS)
    assert len(train) == 4 * 5, "train and restval, a row a caption"
    assert train[0] == ("1000", str(tmp_path / "images/train2014/COCO_train2014_000000000000.jpg"), ODD_CELL)
    assert {row[0] for row in train} == {"1000", "1001", "1002", "1003"}
    for split, ids in (("valid", ["1004", "1005"]), ("test", ["1006", "1007"])):
        found = rows(out / f"{split}.tsv", *IMAGE_COLUMNS)
        candidates = json.loads((out / f"{split}.json").read_text())
        assert [row[0] for row in found] == list(candidates) == ids
        assert all(row[2] == candidates[row[0]][0] and len(candidates[row[0]]) == 5 for row in found)


def test_media_below_the_manifests_are_named_relative_to_them(prepare, tmp_path):
    write_coco(tmp_path / "out")
    out = prepare("coco_retrieval", "--karpathy out/dataset_coco.json --images out/images")
    assert rows(out / "valid.tsv", "image")[0] == ("images/val2014/COCO_val2014_000000000004.jpg",)


def test_missing_pictures_and_empty_captions(prepare, tmp_path, capsys):
    write_coco(tmp_path)
    annotations = json.loads((tmp_path / "dataset_coco.json").read_text())
    for sentence in annotations["images"][0]["sentences"]:
        sentence["raw"] = " \n"
    annotations["images"][1]["sentences"][0]["raw"] = ""
    write_json(tmp_path / "dataset_coco.json", annotations)
    (tmp_path / "images/val2014/COCO_val2014_000000000002.jpg").unlink()
    prepare("coco_retrieval", "--karpathy dataset_coco.json --images images", status=1)
    error = capsys.readouterr().err
    assert "train.tsv: missing or damaged media: 1 (val2014/COCO_val2014_000000000002.jpg)" in error
    out = prepare("coco_retrieval", "--karpathy dataset_coco.json --images images --missing skip")
    error = capsys.readouterr().err
    assert "left out, missing or damaged media: 1" in error
    assert "left out, empty captions: 6 (1000, 1000, 1000, 1000, 1000, ...)" in error
    assert "left out, items without a caption: 1 (1000)" in error
    assert [row[0] for row in rows(out / "train.tsv", "image_id")] == ["1001"] * 4 + ["1003"] * 5


def test_pictures_that_come_twice_or_are_damaged(prepare, tmp_path, capsys):
    write_coco(tmp_path)
    annotations = json.loads((tmp_path / "dataset_coco.json").read_text())
    assert [image["split"] for image in annotations["images"][4:6]] == ["val", "val"]
    annotations["images"].append(annotations["images"][4])
    write_json(tmp_path / "dataset_coco.json", annotations)
    picture = tmp_path / "images/val2014/COCO_val2014_000000000005.jpg"
    picture.write_bytes(picture.read_bytes()[:-40])
    prepare("coco_retrieval", "--karpathy dataset_coco.json --images images", status=1)
    assert "valid.tsv: missing or damaged media: 1 (" in capsys.readouterr().err
    out = prepare("coco_retrieval", "--karpathy dataset_coco.json --images images --missing skip")
    assert "valid.tsv: left out, ids for the second time: 1 (1004)" in capsys.readouterr().err
    candidates = json.loads((out / "valid.json").read_text())
    assert [row[0] for row in rows(out / "valid.tsv", "image_id")] == list(candidates) == ["1004"]
    assert len(candidates["1004"]) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "trian"}, "image 2: 'split' is 'trian', expected one of train, restval, val, test"),
        ({"sentences": [{"raw": 5}]}, "image 2, sentences 1: 'raw' is '5', expected str"),
        ({"cocoid": None}, "image 2: no 'cocoid'"),
    ],
)
def test_karpathy_file_that_is_wrong(prepare, tmp_path, capsys, change, message):
    write_coco(tmp_path)
    annotations = json.loads((tmp_path / "dataset_coco.json").read_text())
    annotations["images"][1] |= change
    write_json(tmp_path / "dataset_coco.json", annotations)
    prepare("coco_retrieval", "--karpathy dataset_coco.json --images images", status=1)
    assert f"error: dataset_coco.json: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "source",
    [
        "--karpathy dataset_flickr30k.json",
        "--captions results.csv --splits splits",
        "--captions results_20130124.token --splits splits",
    ],
)
def test_flickr30k_from_any_official_file(prepare, tmp_path, source):
    write_flickr30k(tmp_path)
    out = prepare("flickr30k_retrieval", f"{source} --images flickr30k-images")
    train = rows(out / "train.tsv", *IMAGE_COLUMNS)
    assert len(train) == 10
    assert train[0] == ("1000", str(tmp_path / "flickr30k-images/1000.jpg"), ODD_CELL)
    assert [row[2] for row in train[5:7]] == ["a green square, 1", "caption 1 of 1"]
    assert list(json.loads((out / "test.json").read_text())) == ["1004", "1005"]
    assert len(rows(out / "valid.tsv", *IMAGE_COLUMNS)) == 2


def test_nothing_is_written_of_a_split_whose_pictures_are_missing(prepare, tmp_path, capsys):
    write_flickr30k(tmp_path)
    (tmp_path / "flickr30k-images/1002.jpg").unlink()
    out = prepare("flickr30k_retrieval", "--karpathy dataset_flickr30k.json --images flickr30k-images", status=1)
    assert "valid.tsv: missing or damaged media: 1" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["train.tsv"]


def test_flickr30k_with_an_empty_caption(prepare, tmp_path, capsys):
    write_flickr30k(tmp_path)
    tokens = tmp_path / "results_20130124.token"
    first, *others = tokens.read_text().splitlines(keepends=True)
    tokens.write_text("".join([first.partition("\t")[0] + "\t\n", *others]))
    out = prepare("flickr30k_retrieval", f"--captions {tokens} --splits splits --images flickr30k-images")
    assert len(rows(out / "train.tsv", *IMAGE_COLUMNS)) == 9
    assert "left out, empty captions: 1 (1000)" in capsys.readouterr().err


def test_flickr30k_needs_captions_of_every_picture(prepare, tmp_path, capsys):
    write_flickr30k(tmp_path)
    with (tmp_path / "splits/val.txt").open("a") as file:
        file.write("77.jpg\n")
    arguments = "--captions results.csv --splits splits --images flickr30k-images"
    prepare("flickr30k_retrieval", arguments, status=1)
    assert "val.txt: 1 pictures have no caption in results.csv (the first: 77)" in capsys.readouterr().err
    prepare("flickr30k_retrieval", "--images flickr30k-images", status=1)
    assert "name --karpathy, or both" in capsys.readouterr().err


def test_audiocaps_clotho_and_macs(prepare, tmp_path):
    write_audiocaps(tmp_path / "audiocaps")
    write_clotho(tmp_path / "clotho")
    write_macs(tmp_path / "macs")
    out = prepare("audiocaps_clotho_retrieval", "--audiocaps audiocaps --clotho clotho --macs macs")
    train = rows(out / "train.tsv", *AUDIO_COLUMNS)
    assert len(train) == 2 * 1 + 2 * 5 + 2 * 5
    assert train[0] == (
        "audiocaps_-train_clip00_0",
        str(tmp_path / "audiocaps/train/-train_clip00.wav"),
        ODD_CELL,
        "1.00",
    )
    assert {row[0].partition("_")[0] for row in train} == {"audiocaps", "clotho", "macs"}
    for split, start in (
        ("valid", "audiocaps_-val"),
        ("audiocaps_test", "audiocaps_-test"),
        ("clotho_test", "clotho_eval"),
    ):
        found = rows(out / f"{split}.tsv", *AUDIO_COLUMNS)
        candidates = json.loads((out / f"{split}.json").read_text())
        assert len(found) == 2 and [row[0] for row in found] == list(candidates)
        assert all(key.startswith(start) and len(texts) == 5 for key, texts in candidates.items())
    assert rows(out / "audiocaps_test.tsv", "duration")[0] == ("2.00",)


def test_clotho_alone_and_a_damaged_sound(prepare, tmp_path, capsys):
    write_clotho(tmp_path / "clotho", each=3)
    (tmp_path / "clotho/development/development rain, heavy.1.wav").write_bytes(b"RIFF")
    prepare("audiocaps_clotho_retrieval", "--clotho clotho", status=1)
    assert "train.tsv: missing or damaged media: 1 (" in capsys.readouterr().err
    out = prepare("audiocaps_clotho_retrieval", "--clotho clotho --missing skip")
    assert len(rows(out / "train.tsv", *AUDIO_COLUMNS)) == 10
    assert len(rows(out / "valid.tsv", *AUDIO_COLUMNS)) == 3
    prepare("audiocaps_clotho_retrieval", "", status=1)
    assert "name --audiocaps, --clotho or both" in capsys.readouterr().err


def test_audiocaps_of_who_only_evaluates(prepare, tmp_path, capsys):
    write_audiocaps(tmp_path / "audiocaps")
    for split in ("train", "val"):
        (tmp_path / f"audiocaps/{split}.csv").unlink()
    out = prepare("audiocaps_clotho_retrieval", "--audiocaps audiocaps --missing skip")
    assert [path.name for path in out.glob("*.tsv")] == ["audiocaps_test.tsv"]
    assert "train.csv: not there, left out of train.tsv" in capsys.readouterr().out


def test_captions_of_macs_are_texts(prepare, tmp_path):
    write_macs(tmp_path / "macs")
    write_clotho(tmp_path / "clotho")
    path = tmp_path / "macs/MACS.yaml"
    files = yaml.safe_load(path.read_text())["files"]
    names = [file["filename"] for file in files]
    written = "".join(
        f"- filename: {name}\n  annotations:\n  - sentence: {text}\n"
        for name, text in zip(names, ("yes", 12), strict=True)
    )
    path.write_text(f"files:\n{written}")
    out = prepare("audiocaps_clotho_retrieval", "--clotho clotho --macs macs")
    assert [text for id, text in rows(out / "train.tsv", "uniq_id", "text") if id.startswith("macs")] == ["yes", "12"]


@pytest.mark.parametrize("text", ["files: [", "!!python/object/apply:os.system ['touch executed']", "files: 3"])
def test_bad_yaml_is_not_executed(prepare, tmp_path, capsys, text):
    write_macs(tmp_path / "macs")
    write_clotho(tmp_path / "clotho")
    (tmp_path / "macs/MACS.yaml").write_text(text)
    prepare("audiocaps_clotho_retrieval", "--clotho clotho --macs macs", status=1)
    assert "MACS.yaml" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()
