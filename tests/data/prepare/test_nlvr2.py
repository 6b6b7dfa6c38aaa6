"""NLVR2."""

import shutil

import pytest

from one_peace.data.prepare.nlvr2 import COLUMNS
from tests.data.prepare.conftest import rows
from tests.data.prepare.official import ODD_CELL, write_nlvr2


def test_manifests(prepare, tmp_path):
    write_nlvr2(tmp_path)
    out = prepare("nlvr2", "--nlvr2 . --images images")
    assert rows(out / "train.tsv", *COLUMNS)[1] == (
        "train-0-1-0",
        f"There are {ODD_CELL}.",
        str(tmp_path / "images/train/1/train-0-1-img0.png"),
        str(tmp_path / "images/train/1/train-0-1-img1.png"),
        "True",
    )
    assert [row[4] for row in rows(out / "valid.tsv", *COLUMNS)] == ["False", "True"] * 2
    assert rows(out / "test.tsv", *COLUMNS)[0][0] == "test1-0-0-0"


def test_one_picture_of_a_pair_is_missing(prepare, tmp_path, capsys):
    write_nlvr2(tmp_path)
    picture = tmp_path / "images/dev/dev-1-2-img1.png"
    picture.write_bytes(picture.read_bytes()[:-40])
    assert len(rows(prepare("nlvr2", "--nlvr2 . --images images --missing skip") / "valid.tsv", *COLUMNS)) == 3
    picture.unlink()
    prepare("nlvr2", "--nlvr2 . --images images", status=1)
    assert "valid.tsv: missing or damaged media: 1 (dev-1-2-img1.png)" in capsys.readouterr().err
    assert len(rows(prepare("nlvr2", "--nlvr2 . --images images --missing skip") / "valid.tsv", *COLUMNS)) == 3


def test_who_has_no_pictures_to_train_on_evaluates(prepare, tmp_path, capsys):
    write_nlvr2(tmp_path)
    shutil.rmtree(tmp_path / "images/train")
    out = prepare("nlvr2", "--nlvr2 . --images images --missing skip")
    assert "train.tsv: not written, nothing of it is there" in capsys.readouterr().out
    assert not (out / "train.tsv").exists() and len(rows(out / "test.tsv", *COLUMNS)) == 4
    prepare("nlvr2", "--nlvr2 . --images images", status=1)
    for path in out.glob("*.tsv"):
        path.unlink()
    for path in (tmp_path / "images").rglob("*.png"):
        path.rename(path.with_name(f"other-{path.name}"))
    prepare("nlvr2", "--nlvr2 . --images images --missing skip", status=1)
    assert "nothing was there to write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"identifier": "dev-1-1-0", "sentence": "x", "label": "Maybe"}',
            "line 5: 'label' is 'Maybe', expected True or",
        ),
        ('{"identifier": "dev-1-1-0", "sentence": "x"}', "line 5: no 'label'"),
        ("[", "line 5 is no JSON"),
        ("[]", "line 5: expected an object"),
    ],
)
def test_bad_lines(prepare, tmp_path, capsys, line, message):
    write_nlvr2(tmp_path)
    with (tmp_path / "dev.json").open("a") as file:
        file.write(f"{line}\n")
    prepare("nlvr2", "--nlvr2 . --images images", status=1)
    assert f"dev.json: {message}" in capsys.readouterr().err
