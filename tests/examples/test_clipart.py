"""Clip art's drawings: which are used, what they are called, which are held out."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image

from one_peace.examples.clipart import drawings, prepare
from one_peace.examples.clipart.drawings import DrawingError, draw, find_drawings, read_svg
from one_peace.examples.clipart.titles import clean_title, title_of
from one_peace.examples.tuxpaint.stamps import find_stamps
from one_peace.modalities.text.reader import TextReader, TextReaderConfig

_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/" width="200pt" height="100pt">'
)
_TITLE = "<metadata><cc:Work><dc:title>{}</dc:title></cc:Work></metadata>"


def svg(title: str | None, inside: str) -> str:
    return _HEAD + (_TITLE.format(title) if title is not None else "") + inside + "</svg>"


def square(size: float, colour: str = "red") -> str:
    return f'<path fill="{colour}" d="M 20,20 h {size} v {size} h -{size} z"/>'


def zigzag(seed: int, colour: str = "red") -> str:
    """Different for each seed."""
    places = np.random.default_rng(seed).integers(10, 90, (6, 2))
    return f'<path fill="{colour}" d="M {" L ".join(f"{x},{y}" for x, y in places)} z"/>'


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("title", "cleaned"),
    [
        ("LED Rounded H (Orange)", "led rounded h orange"),
        ("Crawfish (B and W)", "crawfish black and white"),
        ("fried_eggs_bw", "fried eggs black and white"),
        ("smiley_111", "smiley"),
        ("Rana02", "rana"),
        ("BlueMan#204", "blue man"),
        ("M16", ""),
        ("2 dead frogs", "dead frogs"),
        ("Rondelle d'Orange", "rondelle d'orange"),
        ("Castilla y León", "castilla y león"),
        ("Salt &amp; Pepper", "salt pepper"),
        ("07_lastquarter_openclipart", "lastquarter"),
        ("  ", ""),
    ],
)
def test_titles_are_words(title, cleaned):
    assert clean_title(title) == cleaned


@pytest.mark.parametrize(
    ("title", "name", "words"),
    [
        ("Violin", "music/violin_mo_01", "violin"),
        ("Clipart by Steve Hall - United States - Alabama", "flags/usa", "united states alabama"),
        ("Clipart by Nicu Buculei - jigsaw_red_10", "shapes/jigsaw_blue_06", "jigsaw blue"),
        ("Clipart by Nicu Buculei - fc23", "shapes/fc07", "flowchart symbol"),
        ("gramastar", "stars/star_46pt13step", "star"),
        ("Lemon SVG theme", "icons/folder-cool", "folder cool"),
        ("AIGA_Symbol_Signs", "aiga_waiting_room1", "waiting room"),
        ("gold-theme", "icons/70a017", ""),
        (None, "x", ""),
    ],
)
def test_titles_of_sets_give_way_to_the_files_names(title, name, words):
    assert title_of(ElementTree.fromstring(svg(title, "")), name) == words


def test_a_titles_other_place():
    root = ElementTree.fromstring(svg("", "<title>Sheep</title>"))
    assert title_of(root, "x") == "sheep"


def test_finds_drawings_that_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "MAX_BYTES", 5000)
    root = write(
        tmp_path / "svg",
        {
            "a/house.svg": svg("House 1", square(30)),
            "b/house.svg": svg("House 1", square(30)) + "<!-- the same drawing elsewhere -->",
            "b/home.svg": svg("Home", square(30)),
            "untitled.svg": svg(None, square(31)),
            "empty.svg": svg("Empty", ""),
            "white.svg": svg("Nothing", '<path d="M 0,0 h 9" stroke="none" fill="none"/>'),
            "away.svg": svg("Away", '<path d="M 900,900 h 9 v 9 z"/>'),
            "large.svg": svg("Large", square(32) * 200),
            "broken.svg": "<svg",
            "other.svg": svg("Other", square(33) + '<image xlink:href="/tmp/x.png" width="9" height="9"/>'),
            "bomb.svg": '<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + svg("&a;", square(34)),
        },
    )
    (root / "link.svg").symlink_to(root / "a/house.svg")
    found = find_drawings(root)
    assert [(one.name, one.title) for one in found] == [("a/house", "house"), ("b/home", "home")]
    assert found[0].svg == root / "a/house.svg" and not any(one.held_out for one in found)


def test_held_out_drawings(tmp_path):
    titles = ("cat", "dog", "cow", "hen")
    files = {f"{n}.svg": svg(titles[n % 4], zigzag(n)) for n in range(200)}
    files |= {f"only/{n}.svg": svg("only " + "x" * (n + 1), zigzag(500 + n)) for n in range(60)}
    files |= {f"recoloured/{n}.svg": svg(titles[n % 4], zigzag(n, "blue")) for n in range(200)}
    root = write(tmp_path, files)
    found = find_drawings(root)
    held = {one.name for one in found if one.held_out}
    trained = [one for one in found if not one.held_out]
    assert 0.03 < len(held) / len(found) < 0.2
    assert {one.title for one in found if one.held_out} <= {one.title for one in trained}
    assert all(sum(one.title == title for one in found) == drawings.MOST for title in titles), "no title prevails"
    names = {one.name for one in found}
    pairs = [(str(n), f"recoloured/{n}") for n in range(200) if {str(n), f"recoloured/{n}"} <= names]
    assert len(pairs) > 10 and all((one in held) == (two in held) for one, two in pairs), "the same shapes"
    assert held == {one.name for one in find_drawings(root) if one.held_out}


def test_draws_what_is_on_the_page(tmp_path):
    root = write(tmp_path, {"a.svg": svg("A", square(20)), "b.svg": "<svg", "c.svg": svg("C", "")})
    picture = draw(root / "a.svg")
    assert picture.mode == "RGBA" and picture.width == picture.height == pytest.approx(
        256 * 20 / (200 * 96 / 72), abs=2
    )
    assert (np.asarray(picture)[5, 5] == (255, 0, 0, 255)).all()
    for name, reason in (("b.svg", "no XML"), ("c.svg", "nothing can be seen")):
        with pytest.raises(DrawingError, match=rf"{name}: {reason}"):
            draw(root / name)
    with pytest.raises(DrawingError, match="no XML that is read here"):
        read_svg(write(tmp_path, {"d.svg": '<!DOCTYPE s [<!ENTITY a "b">]>' + svg("D", "&a;")}) / "d.svg")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_prepare(tmp_path):
    stamps = tmp_path / "stamps"
    for name, caption in {"food/pear": "A pear.", "hobbies/music/string/cello": "A cello."}.items():
        (stamps / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (30, 10), (0, 0, 0, 0)).save(stamps / f"{name}.png")
        (stamps / f"{name}.txt").write_text(f"{caption}\n")
    root = write(tmp_path / "svg", {f"{n}.svg": svg("Cat", zigzag(n)) for n in range(40)})
    found, drawn = list(find_stamps(stamps)), find_drawings(root)
    prepare.write_pictures(found, drawn, 32, tmp_path)
    written = prepare.write_manifests(found, drawn, tmp_path)
    held = sum(one.held_out for one in drawn)
    assert held and written == {"train": 2 + 40 - held + 3, "valid": 2, "test": held}
    rows = {split: _read(tmp_path / f"{split}.tsv") for split in written}
    assert not {row["image"] for row in rows["train"]} & {row["image"] for row in rows["test"]}
    assert {row["caption"] for row in rows["train"] if row["image"].endswith("cello.png")} == {
        "a cello.",
        "a cello",
        "a cello, a string instrument",
        "a string instrument",
    }
    for row in rows["train"] + rows["test"]:
        assert Image.open(tmp_path / row["image"]).size == (32, 32)
    assert prepare.write_vocabulary(tmp_path, 400) == 0
    reader = TextReader(TextReaderConfig(bpe_dir=str(tmp_path / "bpe")))
    assert (reader.encode("a kalimba playing three rising notes") != reader.dictionary.unk()).all()


@pytest.mark.parametrize("script", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_from_anywhere(script, tmp_path):
    path = Path(prepare.__file__).with_name(script)
    answer = subprocess.run(["bash", path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("Usage: ") and "outputs/clipart" in answer.stdout


def test_training_needs_manifests(tmp_path):
    path = Path(prepare.__file__).with_name("train.sh")
    environment = {"OUT": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    answer = subprocess.run(["bash", path], env=environment, capture_output=True, text=True)
    assert answer.returncode == 1 and "run prepare.sh first" in answer.stderr
