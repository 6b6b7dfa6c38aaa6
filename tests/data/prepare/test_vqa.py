"""VQAv2: answers, vocabulary, soft scores, manifests."""

import json

import pytest

from one_peace.data.prepare.vqa import COLUMNS, format_refs
from one_peace.data.prepare.vqa_answers import build_vocabulary, normalise, soft_scores
from tests.data.prepare.conftest import rows
from tests.data.prepare.official import ODD_CELL, write_json, write_vqa


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("Yes!", "yes"),
        ("The two dogs.", "2 dogs"),
        ("10,000", "10000"),
        ("3.5", "3.5"),
        ("dont know", "don't know"),
        ("couldntve", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("black/white", "black white"),
        ("a - b", "b"),
        ("red, white", "red white"),
        ("none", "0"),
        ("it's 5:30", "it's 5:30"),
        (" on\nthe\ttable ", "on table"),
        ("an", ""),
    ],
)
def test_normalise(answer, normalised):
    assert normalise(answer) == normalised


def test_vocabulary_keeps_frequent_answers_the_most_frequent_first():
    answers = ["no"] * 9 + ["yes"] * 12 + ["blue"] * 9 + ["red"] * 8 + [""] * 20
    assert build_vocabulary(answers, 9) == {"": 0, "yes": 1, "blue": 2, "no": 3}


def test_soft_scores_by_number_of_annotators():
    vocabulary = {"yes": 0, "no": 1, "2": 2, "red": 3}
    assert soft_scores(["yes"] * 10, vocabulary) == {"yes": 1.0}
    assert soft_scores(["2", "two", "The Two", "no", "no", "red", "other"], vocabulary) == {
        "2": 0.9,
        "no": 0.6,
        "red": 0.3,
    }
    assert soft_scores(["other"] * 10, vocabulary) == {}
    assert format_refs({"2": 0.9, "no": 0.6}, vocabulary) == "2|!+2|!+0.9&&no|!+1|!+0.6"


def test_manifests(prepare, tmp_path, capsys):
    write_vqa(tmp_path)
    out = prepare("vqa", "--vqa . --images images --min-count 2")
    assert json.loads((out / "ans2label.json").read_text()) == {"2": 0, "no": 1, "yes": 2}
    train = rows(out / "train.tsv", *COLUMNS)
    assert [row[3] for row in train[:3]] == ["yes|!+2|!+1.0", "2|!+0|!+1.0", "no|!+1|!+1.0"]
    assert train[0][2] == f"Is it {ODD_CELL}?" and train[0][0] == "500000"
    assert train[3][1] == str(tmp_path / "images/train2014/COCO_train2014_000000000501.jpg")
    assert len(rows(out / "valid.tsv", *COLUMNS)) == 6
    assert {row[3] for row in rows(out / "test.tsv", *COLUMNS)} == {""}, "the answers are not published"
    assert "test_dev.tsv: not written" in capsys.readouterr().out and not (out / "test_dev.tsv").exists()


def test_a_submission_needs_all_questions(prepare, tmp_path, capsys):
    write_vqa(tmp_path)
    arguments = "--vqa . --images images --min-count 2"
    questions = len(rows(prepare("vqa", arguments) / "test.tsv", *COLUMNS))
    assert "submission" not in capsys.readouterr().err
    picture = next((tmp_path / "images/test2015").iterdir())
    picture.write_bytes(picture.read_bytes()[:-30])
    prepare("vqa", arguments, status=1)
    assert "test.tsv: missing or damaged media" in capsys.readouterr().err
    assert len(rows(prepare("vqa", f"{arguments} --missing skip") / "test.tsv", *COLUMNS)) < questions
    assert f"test.tsv: a submission must answer all {questions} questions" in capsys.readouterr().err


def test_join_valid_and_given_vocabulary(prepare, tmp_path):
    write_vqa(tmp_path)
    write_json(tmp_path / "mine.json", {"yes": 1, "3": 0})
    out = prepare("vqa", "--vqa . --images images --ans2label mine.json --join-valid")
    train = rows(out / "train.tsv", *COLUMNS)
    assert len(train) == 12 and [row[3] for row in train[:3]] == ["yes|!+1|!+1.0", "3|!+0|!+0.9", ""]
    assert json.loads((out / "ans2label.json").read_text()) == {"yes": 1, "3": 0}


@pytest.mark.parametrize("value", [{"yes": 1}, [], {"yes": 0, "no": 0}, {"yes": "x"}, 3])
def test_bad_vocabulary(prepare, tmp_path, capsys, value):
    write_vqa(tmp_path)
    write_json(tmp_path / "mine.json", value)
    prepare("vqa", "--vqa . --images images --ans2label mine.json", status=1)
    assert "error: mine.json: " in capsys.readouterr().err


def test_answer_that_would_break_a_manifest(prepare, tmp_path, capsys):
    write_vqa(tmp_path)
    write_json(tmp_path / "mine.json", {"rock && roll": 0})
    prepare("vqa", "--vqa . --images images --ans2label mine.json", status=1)
    assert "mine.json: the answer 'rock && roll' holds what separates answers" in capsys.readouterr().err


def test_wrong_downloads(prepare, tmp_path, capsys):
    write_vqa(tmp_path)
    prepare("vqa", "--vqa . --images images", status=1)
    assert "no answer occurs 9 times" in capsys.readouterr().err
    write_json(tmp_path / "v2_mscoco_val2014_annotations.json", {"annotations": []})
    prepare("vqa", "--vqa . --images images --min-count 1", status=1)
    message = "v2_OpenEnded_mscoco_val2014_questions.json: question 1: question 500000 has no annotation"
    assert message in capsys.readouterr().err
    (tmp_path / "v2_mscoco_val2014_annotations.json").unlink()
    prepare("vqa", "--vqa . --images images", status=1)
    assert "v2_mscoco_val2014_annotations.json: no such file" in capsys.readouterr().err
