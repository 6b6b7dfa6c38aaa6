"""FSD50K, VGGSound, AVQA and ESC-50."""

import json
import shutil
from pathlib import Path

import pytest

from one_peace.data.prepare.labelled_sounds import COLUMNS, pick_frames
from one_peace.data.prepare.media import IMAGES, MediaFolder
from tests.data.prepare.conftest import rows
from tests.data.prepare.official import (
    write_avqa,
    write_csv,
    write_esc50,
    write_fsd50k,
    write_json,
    write_picture,
    write_vggsound,
)


def test_fsd50k(prepare, tmp_path):
    write_fsd50k(tmp_path)
    out = prepare("fsd50k", "--fsd50k .")
    sound = str(tmp_path / "FSD50K.dev_audio/64000.wav")
    assert rows(out / "train.tsv", *COLUMNS)[0] == ("64000", sound, "0,3", "1.00")
    assert rows(out / "train.tsv", "text")[1] == ("1,2",)
    assert [len(rows(out / f"{split}.tsv", *COLUMNS)) for split in ("train", "valid", "test")] == [4] * 3
    assert "FSD50K.eval_audio" in rows(out / "test.tsv", "audio")[0][0]
    assert (out / "labels.txt").read_text().split() == ["Acoustic_guitar", "Bark", "Dog", "Music"]


def test_fsd50k_with_wrong_tables(prepare, tmp_path, capsys):
    write_fsd50k(tmp_path)
    truth = tmp_path / "FSD50K.ground_truth"
    write_csv(truth / "vocabulary.csv", [(0, "Acoustic_guitar", "/m/0"), (1, "Music", "/m/1")])
    prepare("fsd50k", "--fsd50k .", status=1)
    assert "dev.csv: line 3: 'Dog' is not in vocabulary.csv" in capsys.readouterr().err
    write_csv(truth / "vocabulary.csv", [(1, "Music", "/m/1")])
    prepare("fsd50k", "--fsd50k .", status=1)
    assert "vocabulary.csv: the classes are not numbered 0 to N - 1" in capsys.readouterr().err


def test_vggsound(prepare, tmp_path):
    write_vggsound(tmp_path)
    out = prepare("vggsound", "--csv vggsound.csv --sounds clips --frames frames --num-frames 2")
    assert (out / "labels.txt").read_text().splitlines() == ["dog barking", "people marching", "tapping guitar, loud"]
    train = rows(out / "train.tsv", *COLUMNS, "frames")
    assert [row[2] for row in train] == ["1", "0", "2", "1"]
    assert train[1][:2] == ("-video0001_000031", str(tmp_path / "clips/-video0001_31.wav"))
    assert train[0][4] == "|".join(str(tmp_path / f"frames/-video0000_000030/{i}.jpg") for i in (0, 2))
    assert len(rows(out / "test.tsv", *COLUMNS)) == 4


def test_a_damaged_picture_of_a_video(prepare, tmp_path, capsys):
    write_vggsound(tmp_path)
    arguments = "--csv vggsound.csv --sounds clips --frames frames --num-frames 2"
    out = prepare("vggsound", arguments)
    frame = Path(rows(out / "test.tsv", "frames")[0][0].split("|")[1])
    frame.write_bytes(b"no picture")
    prepare("vggsound", arguments, status=1)
    assert f"test.tsv: missing or damaged media: 1 ({frame})" in capsys.readouterr().err
    assert len(rows(prepare("vggsound", f"{arguments} --missing skip") / "test.tsv", *COLUMNS)) == 3


def test_vggsound_without_frames_and_with_own_order(prepare, tmp_path, capsys):
    write_vggsound(tmp_path)
    (tmp_path / "order.txt").write_text("tapping guitar, loud\ndog barking\npeople marching\n")
    out = prepare("vggsound", "--csv vggsound.csv --sounds clips --labels order.txt")
    assert (out / "train.tsv").read_text().startswith("uniq_id\taudio\ttext\tduration\n")
    assert [row[0] for row in rows(out / "train.tsv", "text")] == ["2", "1", "0", "2"]
    (tmp_path / "order.txt").write_text("dog barking\n")
    prepare("vggsound", "--csv vggsound.csv --sounds clips --labels order.txt", status=1)
    assert "order.txt: no label 'people marching'" in capsys.readouterr().err


def test_videos_that_are_gone(prepare, tmp_path, capsys):
    write_vggsound(tmp_path)
    (tmp_path / "clips/-video0002.wav").unlink()
    shutil.rmtree(tmp_path / "frames/-video0003_000033")
    prepare("vggsound", "--csv vggsound.csv --sounds clips", status=1)
    assert "train.tsv: missing or damaged media: 1 (-video0002_000032)" in capsys.readouterr().err
    out = prepare("vggsound", "--csv vggsound.csv --sounds clips --frames frames --missing skip")
    assert "media: 2 (-video0002_000032, frames of -video0003_000033)" in capsys.readouterr().err
    assert len(rows(out / "train.tsv", *COLUMNS, "frames")) == 2


@pytest.mark.parametrize(("count", "picked"), [(1, [2]), (2, [1, 3]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])])
def test_frames_are_spread_evenly(tmp_path, count, picked):
    for number in range(5):
        write_picture(tmp_path / "frames/video" / f"{number}.jpg")
    frames = MediaFolder(tmp_path / "frames", IMAGES, tmp_path)
    assert pick_frames(frames, ["none", "video"], count) == "|".join(f"frames/video/{number}.jpg" for number in picked)
    assert pick_frames(frames, ["none"], count) == ""


def test_avqa(prepare, tmp_path):
    write_avqa(tmp_path)
    out = prepare("avqa", "--avqa . --sounds clips")
    train = rows(out / "train.tsv", *COLUMNS)
    question = 'What & happened in the video?&&&motorboat&&&a "dog" barks&&&rain&&&wind&&&1'
    assert train[1] == ("101", str(tmp_path / "clips/-train0001_000030.wav"), question, "1.00")
    assert len(rows(out / "valid.tsv", *COLUMNS)) == 4


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("multi_choice", ["a", "b", "c"], "expected 4 texts"),
        ("multi_choice", ["a", "b", "c", 4], "expected 4 texts"),
        ("answer", 4, "'answer' is 4, expected 0 to 3"),
        ("question_text", None, "no 'question_text'"),
    ],
)
def test_wrong_questions(prepare, tmp_path, capsys, key, value, message):
    write_avqa(tmp_path)
    questions = json.loads((tmp_path / "val_qa.json").read_text())
    questions[2][key] = value
    write_json(tmp_path / "val_qa.json", questions)
    prepare("avqa", "--avqa . --sounds clips", status=1)
    error = capsys.readouterr().err
    assert "val_qa.json: question 3: " in error and message in error


def test_esc50(prepare, tmp_path, capsys):
    write_esc50(tmp_path)
    out = prepare("esc50", "--esc50 .")
    columns = ("uniq_id", "audio", "label", "duration")
    assert rows(out / "test.tsv", *columns)[2] == (
        "1-101-A-1",
        str(tmp_path / "audio/1-101-A-1.wav"),
        "1",
        "1.00",
    )
    assert (out / "labels.txt").read_text().splitlines() == ["dog", "chirping birds", "vacuum cleaner"]
    with (tmp_path / "meta/esc50.csv").open("a") as file:
        file.write("x.wav,1,1,cat,True,1,A\n")
    prepare("esc50", "--esc50 .", status=1)
    assert "esc50.csv: line 8: class 1 is 'cat' here and 'chirping birds' before" in capsys.readouterr().err
