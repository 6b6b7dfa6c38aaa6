"""ImageNet, and any folder with a sub-folder for each class."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from one_peace.data.labels import read_labels
from tests.data.prepare.conftest import rows
from tests.data.prepare.official import write_classes, write_picture, write_sound

COLUMNS = ("image_id", "image", "label")


def test_folders_of_pictures(prepare, tmp_path, capsys):
    write_classes(tmp_path / "train", classes=("b_2", "a_1"))
    write_classes(tmp_path / "test", classes=("b_2", "a_1"), each=1)
    out = prepare("labelled_folder", "--folder train --split train")
    assert rows(out / "train.tsv", *COLUMNS) == [
        (f"{name}/{name}_{i}", str(tmp_path / f"train/{name}/{name}_{i}.JPEG"), label)
        for name, label in (("a_1", "0"), ("b_2", "1"))
        for i in (0, 1)
    ]
    assert (out / "labels.txt").read_text() == "a 1\nb 2\n"
    prepare("labelled_folder", "--folder test")
    assert len(rows(out / "test.tsv", *COLUMNS)) == 2
    shutil.rmtree(tmp_path / "test/a_1")
    prepare("labelled_folder", "--folder test", status=1)
    assert "labels.txt: the classes of test.tsv are others" in capsys.readouterr().err
    prepare("labelled_folder", "--folder test/b_2", status=1)
    assert "no sub-folders" in capsys.readouterr().err


def test_files_that_differ_in_their_ending_alone_have_ids_of_their_own(prepare, tmp_path):
    write_classes(tmp_path / "test", classes=("a",), each=2)
    (tmp_path / "test/a/a_0.JPEG").rename(tmp_path / "test/a/a_1.png")
    write_picture(tmp_path / "test/a/x.png")
    out = prepare("labelled_folder", "--folder test")
    assert [row[0] for row in rows(out / "test.tsv", *COLUMNS)] == ["a/a_1.JPEG", "a/a_1.png", "a/x"]


def test_folders_of_sounds(prepare, tmp_path, capsys):
    for number, name in enumerate(("dog", "cat")):
        write_sound(tmp_path / "sounds" / name / "deeper" / "1.wav", number)
    (tmp_path / "sounds/dog/2.wav").touch()
    prepare("labelled_folder", "--folder sounds --modality audio", status=1)
    assert "missing or damaged media: 1 (dog/2.wav)" in capsys.readouterr().err
    out = prepare("labelled_folder", "--folder sounds --modality audio --missing skip")
    columns = ("uniq_id", "audio", "label", "duration")
    assert rows(out / "test.tsv", *columns) == [
        ("cat/deeper/1", str(tmp_path / "sounds/cat/deeper/1.wav"), "0", "1.00"),
        ("dog/deeper/1", str(tmp_path / "sounds/dog/deeper/1.wav"), "1", "1.00"),
    ]


def test_names_of_classes(prepare, tmp_path, capsys):
    write_classes(tmp_path / "train", classes=("n01440764", "n01443537"))
    (tmp_path / "names.txt").write_text("n01443537 goldfish, Carassius auratus\nn01440764 tench, Tinca tinca\n")
    out = prepare("labelled_folder", "--folder train --names names.txt")
    assert (out / "labels.txt").read_text().splitlines() == ["tench, Tinca tinca", "goldfish, Carassius auratus"]
    (tmp_path / "names.txt").write_text("n01443537 goldfish\n")
    prepare("labelled_folder", "--folder train --names names.txt", status=1)
    assert "names.txt: no line for class 'n01440764'" in capsys.readouterr().err


def test_odd_folders(prepare, tmp_path, capsys):
    write_classes(tmp_path / "train", classes=("New York", "New_York", "b ", "c\u2028d"))
    (tmp_path / "train/.ipynb_checkpoints").mkdir()
    (tmp_path / "train/empty").mkdir()
    for _ in range(2):
        out = prepare("labelled_folder", "--folder train --split train")
        error = capsys.readouterr().err
        assert "1 names stand for several classes (New York)" in error and "nothing of 1 classes (empty)" in error
    assert read_labels(out / "labels.txt") == ["New York", "New York", "b", "c\u2028d", "empty"]


def test_nothing_is_written_before_all_is_understood(prepare, tmp_path, flat, capsys):
    prepare("imagenet", "--imagenet .", status=1)
    assert "If it is flat, name --devkit or --val-labels" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_imagenet_with_folders(prepare, tmp_path, capsys):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "val", each=1)
    out = prepare("imagenet", "--imagenet .")
    assert len(rows(out / "train.tsv", *COLUMNS)) == 6
    assert [row[2] for row in rows(out / "valid.tsv", *COLUMNS)] == ["0", "1", "2"]
    write_classes(tmp_path / "val", classes=("n99",))
    prepare("imagenet", "--imagenet .", status=1)
    assert "val: it has other folders than train" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "val")
    (out / "valid.tsv").unlink()
    prepare("imagenet", "--imagenet .")
    assert not (out / "valid.tsv").exists() and "valid.tsv: not written" in capsys.readouterr().out


@pytest.fixture
def flat(tmp_path):
    """ImageNet with a flat val of three pictures, of the classes 2, 0 and 1 in the order of sorted wnids."""
    write_classes(tmp_path / "train")
    for number in (1, 2, 3):
        write_picture(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val.txt", "ILSVRC2012_val_00000001.JPEG 2\nILSVRC2012_val_00000002.JPEG 0\nILSVRC2012_val_00000003.JPEG 1\n"),
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\nILSVRC2012_val_00000001,n02119789 1 2 3 4 n02119789 1 2 3 4\n"
            "ILSVRC2012_val_00000002,n01440764 1 2 3 4\nILSVRC2012_val_00000003,n01443537 1 2 3 4\n",
        ),
    ],
)
def test_imagenet_with_a_flat_val(prepare, tmp_path, flat, name, text):
    (tmp_path / name).write_text(text)
    out = prepare("imagenet", f"--imagenet . --val-labels {name}")
    assert [row[2] for row in rows(out / "valid.tsv", *COLUMNS)] == ["2", "0", "1"]


def test_imagenet_with_the_development_kit(prepare, tmp_path, flat, capsys):
    data = tmp_path / "devkit/data"
    data.mkdir(parents=True)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    wnids = ("n01443537", "n02119789", "n01440764", "n00001740")  # an order of its own, and a class that has children
    synsets = np.array([(i, wnid, "x", "y", i // 4) for i, wnid in enumerate(wnids, start=1)], dtype=kinds)
    savemat(data / "meta.mat", {"synsets": synsets})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n")
    out = prepare("imagenet", "--imagenet . --devkit devkit")
    assert [row[2] for row in rows(out / "valid.tsv", *COLUMNS)] == ["2", "0", "1"]
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n4\n1\n")
    prepare("imagenet", "--imagenet . --devkit devkit", status=1)
    assert "ground_truth.txt: line 2: '4' is no class of the training set" in capsys.readouterr().err
    (data / "meta.mat").write_bytes(b"no such thing" * 20)
    prepare("imagenet", "--imagenet . --devkit devkit", status=1)
    assert "meta.mat: not the development kit's table of classes" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["ILSVRC2012_val_00000001.JPEG 3", "ILSVRC2012_val_00000001.JPEG n0", "490"])
def test_imagenet_with_wrong_labels(prepare, tmp_path, flat, capsys, line):
    (tmp_path / "val.txt").write_text(line)
    prepare("imagenet", "--imagenet . --val-labels val.txt", status=1)
    assert "val.txt: entry 1: no class" in capsys.readouterr().err
