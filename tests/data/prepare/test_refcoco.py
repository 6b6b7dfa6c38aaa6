"""RefCOCO, RefCOCO+ and RefCOCOg."""

import json
import pickle

import pytest

from one_peace.data.prepare.refcoco import COLUMNS
from tests.data.prepare.conftest import rows
from tests.data.prepare.official import write_json, write_refer


@pytest.mark.parametrize("protocol", [0, 2])
def test_refcoco(prepare, tmp_path, protocol):
    write_refer(tmp_path, protocol=protocol)
    out = prepare("refcoco", "--refer . --images images")
    train = rows(out / "train.tsv", *COLUMNS)
    picture = str(tmp_path / "images/COCO_train2014_000000000000.jpg")
    assert train[0] == ("0", picture, 'a a "red" square and a  赤い kite ?', "8.00,4.50,32.25,34.50")
    assert train[1] == ("1", picture, "left one", "8.00,4.50,32.25,34.50")
    assert {path.name for path in out.iterdir()} == {"train.tsv", "valid.tsv", "testA.tsv", "testB.tsv"}
    assert [len(rows(path, *COLUMNS)) for path in out.iterdir()] == [8] * 4


def test_refcocog(prepare, tmp_path, capsys):
    write_refer(tmp_path, split_by="umd")
    write_refer(tmp_path, split_by="google")
    prepare("refcoco", "--refer . --images images", status=1)
    assert "split by umd or google? Name it with --split-by" in capsys.readouterr().err.replace("?.", "?")
    prepare("refcoco", "--refer . --images images --split-by unc", status=1)
    assert "no refs(unc).p. Name it with --split-by; the folder has umd, google" in capsys.readouterr().err
    out = prepare("refcoco", "--refer . --images images --split-by umd")
    assert {path.name for path in out.iterdir()} == {"train.tsv", "valid.tsv", "test.tsv"}


def test_a_pickle_that_executes(prepare, tmp_path, capsys):
    write_refer(tmp_path)
    (tmp_path / "refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    prepare("refcoco", "--refer . --images images", status=1)
    assert "it names os.system, and plain data names nothing" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("split", "trian", "ref 1: split 'trian', image 0 or annotation 70 is unknown"),
        ("ann_id", 3, "ref 1: split 'train', image 0 or annotation 3 is unknown"),
        ("sentences", "x", "ref 1: 'sentences' is 'x', expected list"),
    ],
)
def test_wrong_refs(prepare, tmp_path, capsys, key, value, message):
    write_refer(tmp_path)
    path = tmp_path / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())
    refs[0][key] = value
    path.write_bytes(pickle.dumps(refs))
    prepare("refcoco", "--refer . --images images", status=1)
    assert message in capsys.readouterr().err


def test_refs_that_say_nothing_are_counted(prepare, tmp_path, capsys):
    write_refer(tmp_path)
    path = tmp_path / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())
    refs[0]["sentences"], refs[1]["sentences"][0]["sent"] = [], " "
    path.write_bytes(pickle.dumps(refs))
    out = prepare("refcoco", "--refer . --images images")
    error = capsys.readouterr().err
    assert f"train.tsv: left out, refs without a sentence: 1 ({refs[0]['ref_id']})" in error
    assert f"train.tsv: left out, empty sentence: 1 ({refs[1]['sentences'][0]['sent_id']})" in error
    assert len(rows(out / "train.tsv", *COLUMNS)) == 8 - 2 - 1


def _change_box(folder, box) -> None:
    instances = json.loads((folder / "instances.json").read_text())
    instances["annotations"][0]["bbox"] = box
    write_json(folder / "instances.json", instances)


@pytest.mark.parametrize("box", [[1, 2, 0, 4], [1, 2, 4, -1], [-2, 2, 9, 9], [1, 2, 90, 9], [1, 2, 9, 90]])
def test_boxes_that_cannot_be_learned_are_left_out(prepare, tmp_path, capsys, box):
    write_refer(tmp_path)
    _change_box(tmp_path, [0, 0, 48.5, 40.9])
    assert len(rows(prepare("refcoco", "--refer . --images images") / "train.tsv", *COLUMNS)) == 8, (
        "a pixel is rounding"
    )
    _change_box(tmp_path, box)
    out = prepare("refcoco", "--refer . --images images")
    message = "train.tsv: left out, boxes without area or outside of the picture: 1 (annotation 70)"
    assert message in capsys.readouterr().err and len(rows(out / "train.tsv", *COLUMNS)) == 6


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 3, float("nan")], "1,2,3,4"])
def test_wrong_boxes(prepare, tmp_path, capsys, box):
    write_refer(tmp_path)
    _change_box(tmp_path, box)
    prepare("refcoco", "--refer . --images images", status=1)
    assert "instances.json: annotation 1: " in capsys.readouterr().err
