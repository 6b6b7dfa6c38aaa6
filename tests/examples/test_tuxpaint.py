"""The stamps' files, on a few made up in the package's format."""

import csv
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from one_peace.examples.tuxpaint import debian, prepare, stamps

MUSHROOM = """A mushroom.

ach.utf8=Obwol.
af.utf8='n Sampioen.
ca@valencia.utf8=Un  xampinyó.
pt_BR.utf8=a=b
ko.utf8=
# x
"""


def test_captions():
    assert stamps.parse_captions(MUSHROOM) == {
        "en": "A mushroom.",
        "ach": "Obwol.",
        "af": "'n Sampioen.",
        "ca@valencia": "Un xampinyó.",
        "pt_BR": "a=b",
    }
    assert stamps.parse_captions("") == {}
    assert stamps.parse_captions("One.\r\nde.utf8=Eins.\r\n") == {"en": "One.", "de": "Eins."}


def _stamps_folder(root):
    (root / "food").mkdir(parents=True)
    for name, words in {
        "food/mushroom": MUSHROOM,
        "B": "The letter B.\nde.utf8=Der Buchstabe B.\n",
        "b": "The letter b.\n",
    }.items():
        Image.new("LA", (30, 10), (0, 0)).save(root / f"{name}.png")
        (root / f"{name}.txt").write_text(words, encoding="utf-8")
    Image.new("RGBA", (4, 4)).save(root / "B_mirror.png")
    (root / "drawing.svg").write_text("<svg/>")
    (root / "drawing.txt").write_text("A drawing.\n")
    return root


def test_finds_stamps_that_have_a_picture_and_captions(tmp_path):
    found = list(stamps.find_stamps(_stamps_folder(tmp_path)))
    assert [stamp.name for stamp in found] == ["B", "b", "food/mushroom"]
    assert found[2].captions["af"] == "'n Sampioen."


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_stamps_are_flattened_in_a_square(mode):
    picture = Image.new("RGBA", (40, 10), (0, 0, 0, 0))
    picture.paste((255, 255, 255, 255), (0, 0, 20, 10))
    flat = np.asarray(stamps.flatten(picture.convert(mode), 40), dtype=int)
    assert flat.shape == (40, 40, 3)
    assert (flat[0] == stamps.BACKGROUND).all(), "the square is filled up"
    assert (flat[20, 5] == 255).all(), "white stays visible"
    if mode in ("RGBA", "LA"):
        assert np.abs(flat[20, 35] - stamps.BACKGROUND).max() <= 1, "transparent places show the background"


def _read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_manifests(tmp_path):
    found = list(stamps.find_stamps(_stamps_folder(tmp_path / "in")))
    assert prepare.write_manifests(found, ["en", "de"], tmp_path) == (4, 3)
    train, valid = _read(tmp_path / "train.tsv"), _read(tmp_path / "valid.tsv")
    assert [row["caption"] for row in train if row["image"] == "images/B.png"] == ["the letter b.", "der buchstabe b."]
    assert len({row["image_id"] for row in train}) == 4 and {row["language"] for row in train} == {"en", "de"}
    assert valid[0]["caption"] == valid[1]["caption"], "captions that read the same are the same"
    prepare.write_pictures(found, 16, tmp_path)
    assert all(Image.open(tmp_path / row["image"]).size == (16, 16) for row in valid)


def test_languages(tmp_path):
    found = list(stamps.find_stamps(_stamps_folder(tmp_path)))
    assert prepare.choose_languages(found, "de, en") == ["de", "en"]
    assert prepare.choose_languages(found, "all")[:2] == ["en", "ach"]
    with pytest.raises(ValueError, match="no caption in 'be'"):
        prepare.choose_languages(found, "spoken")
    with pytest.raises(ValueError, match="no caption in 'xx'; there are: ach, af"):
        prepare.choose_languages(found, "xx")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")
def test_package_is_unpacked_once(tmp_path):
    _stamps_folder(tmp_path / "tree/usr/share/tuxpaint/stamps")
    control = tmp_path / "tree/DEBIAN/control"
    control.parent.mkdir()
    control.write_text("Package: stamps\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n")
    subprocess.run(
        ["dpkg-deb", "-b", tmp_path / "tree", tmp_path / "stamps_1_all.deb"], check=True, capture_output=True
    )
    assert debian.fetch_package("stamps", tmp_path) == tmp_path / "stamps_1_all.deb", "a package that is there is taken"
    for _ in range(2):
        out = debian.unpack_package(tmp_path / "stamps_1_all.deb", tmp_path / "new" / "unpacked")
        assert len(list(stamps.find_stamps(out))) == 3
    (tmp_path / "bad.deb").write_text("not a package")
    with pytest.raises(debian.PackageError, match="no readable Debian package"):
        debian.unpack_package(tmp_path / "bad.deb", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_package_that_cannot_be_fetched_goes_where_it_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.PackageError, match=f"put the .deb into {tmp_path}"):
        debian.fetch_package("stamps", tmp_path)


@pytest.mark.parametrize("script", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_from_anywhere(script, tmp_path):
    path = prepare.__file__.replace("prepare.py", script)
    answer = subprocess.run(["bash", path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("Usage: ") and "OUT" in answer.stdout
