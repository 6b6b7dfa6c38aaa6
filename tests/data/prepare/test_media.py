"""Finding media, whatever the folders; and what is left out."""

import unicodedata
from pathlib import Path

import pytest

from one_peace.data.errors import DataError
from one_peace.data.prepare.media import IMAGES, SOUNDS, LeftOut, MediaFolder, read_durations, without_damaged
from tests.data.prepare.official import write_picture, write_sound


@pytest.fixture
def pictures(tmp_path) -> Path:
    for name in ("a/1.jpg", "b/1.jpg", "b/c/2.JPEG", "3.png", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_find_by_path_name_and_stem(pictures):
    media = MediaFolder(pictures, IMAGES, pictures / "out")
    assert len(media) == 4
    for name in ("b/c/2.JPEG", "2.JPEG", "2", "c/2", "elsewhere/2"):
        assert media.find(name) == str(pictures / "b/c/2.JPEG")
    assert media.find("none", "notes.txt", "notes", "3") == str(pictures / "3.png")
    assert media.find("notes") is None
    assert media.by_folder["b"] == ["b/1.jpg", "b/c/2.JPEG"]


def test_folder_decides_between_files_of_one_name(pictures):
    media = MediaFolder(pictures, IMAGES, pictures / "out")
    assert media.find("a/1") == str(pictures / "a/1.jpg")
    with pytest.raises(DataError, match=r"a/1\.jpg and b/1\.jpg are both called '1'"):
        media.find("1")


def test_the_same_sound_in_two_formats(tmp_path):
    for name in ("x.mp3", "x.wav", "y.flac"):
        (tmp_path / name).touch()
    media = MediaFolder(tmp_path, SOUNDS, tmp_path)
    assert media.find("x") == "x.wav" and media.find("x.mp3") == "x.mp3"


def test_names_as_tables_and_other_file_systems_give_them(tmp_path):
    folder = tmp_path / "development"
    folder.mkdir()
    for name in (" typical.wav", unicodedata.normalize("NFD", "Caf\u00e9.wav")):
        (folder / name).touch()
    media = MediaFolder(tmp_path, SOUNDS, tmp_path)
    assert media.find("development/typical.wav") == media.find("typical") == "development/ typical.wav"
    assert media.find("Caf\u00e9.wav") == media.find("Caf\u00e9") == f"development/{'Cafe'}\u0301.wav"


def test_hidden_files_and_folders_are_no_data(pictures):
    (pictures / ".cache").mkdir()
    for name in (".cache/4.jpg", "a/._1.jpg"):
        (pictures / name).touch()
    media = MediaFolder(pictures, IMAGES, pictures / "out")
    assert len(media) == 4 and set(media.by_folder) == {"a", "b", "3.png"}


@pytest.mark.parametrize("name", ["a\tb.jpg", "a\nb.jpg", " a.jpg"])
def test_names_that_no_manifest_can_hold(pictures, name):
    (pictures / "odd").mkdir()
    (pictures / "odd" / name).touch()
    media = MediaFolder(pictures / "odd", IMAGES, pictures / "odd")
    with pytest.raises(DataError, match=r"holds what no manifest can.*Rename it"):
        media.find(name)


def test_paths_are_relative_below_the_manifests(pictures):
    assert MediaFolder(pictures / "b", IMAGES, pictures).find("2") == "b/c/2.JPEG"


def test_links_are_followed_once(pictures):
    (pictures / "a" / "loop").symlink_to(pictures)
    (pictures / "linked").symlink_to(pictures / "b" / "c")
    assert MediaFolder(pictures / "a", IMAGES, pictures).find("2") is not None
    folder = pictures / "only_links"
    folder.mkdir()
    (folder / "train").symlink_to(pictures / "b")
    assert MediaFolder(folder, IMAGES, pictures / "out").find("2") == str(folder / "train/c/2.JPEG")


def test_wrong_folders(pictures):
    with pytest.raises(DataError, match="no such folder"):
        MediaFolder(pictures / "none", IMAGES, pictures)
    with pytest.raises(DataError, match=r"no file that ends in \.wav"):
        MediaFolder(pictures, SOUNDS, pictures)


def test_durations(tmp_path):
    write_sound(tmp_path / "a.wav", seconds=1.5)
    write_picture(tmp_path / "b.jpg")
    (tmp_path / "c.wav").touch()
    assert read_durations(["a.wav", "b.jpg", "c.wav", "none.wav", ""], tmp_path) == [1.5, None, None, None, None]


@pytest.mark.parametrize(
    ("modality", "write", "ending"), [("image", write_picture, "jpg"), ("audio", write_sound, "wav")]
)
def test_what_evaluation_could_not_read_is_found_before(tmp_path, modality, write, ending):
    whole, cut, foreign = (f"{name}.{ending}" for name in ("whole", "cut", "foreign"))
    write(tmp_path / whole)
    (tmp_path / cut).write_bytes((tmp_path / whole).read_bytes()[:30])
    (tmp_path / foreign).write_text("<html>gone</html>")
    rows, left_out = [(1, whole), (2, cut), (3, whole), (4, foreign), (5, cut)], LeftOut("skip")
    keep = [
        without_damaged(rows, lambda row: row[1:], modality, tmp_path / s, left_out) for s in ("train.tsv", "test.tsv")
    ]
    assert keep == [rows, [(1, whole), (3, whole)]], "training puts others in their place"
    with pytest.raises(DataError, match="media: 3"):
        left_out.missing = "error"
        left_out.finish(tmp_path / "test.tsv")


def test_left_out(tmp_path, capsys):
    left_out = LeftOut("skip")
    for number in range(7):
        left_out.add_missing(f"{number}.jpg")
    left_out.add("empty captions", "x")
    left_out.finish(tmp_path / "train.tsv")
    assert capsys.readouterr().err.splitlines() == [
        "train.tsv: left out, missing or damaged media: 7 (0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, ...)",
        "train.tsv: left out, empty captions: 1 (x)",
    ]
    left_out.finish(tmp_path / "valid.tsv")
    assert capsys.readouterr().err == ""


def test_missing_media_are_an_error_unless_told_otherwise(tmp_path):
    left_out = LeftOut("error")
    left_out.add("empty captions", "x")
    left_out.finish(tmp_path / "train.tsv")
    left_out.add_missing("1.jpg")
    with pytest.raises(DataError, match=r"train\.tsv: missing or damaged media: 1 \(1\.jpg\)\. .* --missing skip"):
        left_out.finish(tmp_path / "train.tsv")
