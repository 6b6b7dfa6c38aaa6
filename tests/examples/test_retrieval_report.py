"""The report's numbers on made-up features, its table, its picture and its command line's messages."""

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from one_peace.examples import retrieval as rt
from one_peace.examples import retrieval_report as rr
from one_peace.examples import views


def _files(folder, n):
    paths = {"image": [], "audio": []}
    for i in range(n):
        paths["image"].append(str(folder / f"{i}.png"))
        Image.new("LA" if i % 2 else "RGB", (20, 30 + i)).save(paths["image"][-1])
        paths["audio"].append(str(folder / f"{i}.wav"))
        soundfile.write(paths["audio"][-1], np.zeros(800 * (i + 1)), 16000)
    return paths


def test_report_on_known_features(tmp_path, capsys):
    """Pictures are embedded perfectly, sounds one item off: recall@1 is 100 one way and 0 the other."""
    n = 8
    paths = _files(tmp_path, n)
    cells = {"text": [f"caption {i}" for i in range(n)], **paths}
    shift = {"text": 0, "image": 0, "audio": 1}

    def embed(modality, values):
        own = [cells[modality].index(value) for value in values]
        return torch.eye(n)[[(i + shift[modality]) % n for i in own]]

    directions = [rt.Direction("text", "image"), rt.Direction("audio", "image", emergent=True)]
    good, bad = rr.report(embed, cells, directions, tmp_path / "out")
    assert good.recall == {1: 100.0, 5: 100.0, 10: 100.0}
    assert bad.recall[1] == 0.0  # the right picture is one of seven that score 0
    assert good.chance[1] == pytest.approx(100 / n) and good.chance[10] == pytest.approx(100)
    table = capsys.readouterr().out
    assert table.strip() in (tmp_path / "out" / "report.md").read_text()
    assert "text -> image " in table and "audio -> image (emergent)" in table and "100.0 (12.5)" in table
    picture = Image.open(tmp_path / "out" / "report.png")
    greens = (np.abs(np.asarray(picture.convert("RGB"), dtype=int) - (26, 150, 65)).max(axis=-1) < 12).sum()
    assert greens > 100, "right answers have a green frame"
    assert (tmp_path / "out" / "report.png").stat().st_size < 300_000


def test_equal_cells_are_one_item_and_every_partner_is_right():
    """Two pictures share a caption: the caption is one key, and either picture answers it."""
    items = {"text": rt.collect_items(["a", "b", "a"]), "image": rt.collect_items(["0.png", "1.png", "2.png"])}
    assert items["text"].values == ["a", "b"]
    features = {"text": torch.eye(2), "image": torch.tensor([[0.1, 0.0], [0.0, 1.0], [1.0, 0.0]])}
    for direction in (rt.Direction("text", "image"), rt.Direction("image", "text")):
        assert rt.measure(features, items, direction).recall[1] == 100.0


def test_a_collapsed_model_scores_nothing():
    items = {m: rt.collect_items([str(i) for i in range(20)]) for m in ("text", "image")}
    features = {m: torch.ones(20, 4) / 2 for m in items}
    assert rt.measure(features, items, rt.Direction("text", "image")).recall == {1: 0.0, 5: 0.0, 10: 0.0}


# Four recordings of two languages; "rot" and two pictures that no recording belongs to are searched among, too.
VIEWS = {
    "audio": ["0.wav", "1.wav", "2.wav", "3.wav", "", ""],
    "text": ["red", "blue", "rouge", "bleu", "rot", ""],
    "image": ["r.png", "b.png", "r.png", "b.png", "r.png", "x.png"],
}
LANGUAGES = ["en", "en", "fr", "fr", "de", ""]


def _groups(direction, features):
    items = {modality: rt.collect_items(cells) for modality, cells in VIEWS.items()}
    return {result.group: result for result in rt.measure_groups(features, items, [direction], LANGUAGES)}


def test_groups_are_searched_apart():
    """A recording's language is wrong, what it says is right: found in its language, not among all."""
    text = torch.tensor([[1.0, 0, 0.1], [0, 1, 0.1], [1, 0, 0.0], [0, 1, 0.0], [1, 0, 0.05]])
    features = {"audio": torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]), "text": text}
    found = _groups(rt.Direction("audio", "text"), features)
    assert list(found) == ["all", "en", "fr", "mean"], "no German was spoken"
    assert found["en"].recall[1] == found["fr"].recall[1] == found["mean"].recall[1] == 100
    assert found["all"].recall == {1: 0, 5: 100, 10: 100} and found["all"].keys == 5
    assert found["en"].keys == 2 and found["en"].chance[1] == found["mean"].chance[1] == pytest.approx(50)
    assert found["mean"].queries == 4 and found["mean"].keys is None
    table = rt.format_table(list(found.values()), "language")
    assert len({len(line) for line in table.splitlines()}) == 1 and "| audio -> text | fr " in table


def test_what_has_no_group_is_searched_in_all():
    features = {"audio": torch.eye(4), "image": torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 2]])}
    found = _groups(rt.Direction("audio", "image", emergent=True), features)
    assert found["en"].keys == found["all"].keys == 3
    assert found["en"].recall[1] == 100 and found["fr"].recall[1] == 50, "3.wav finds the picture without a language"
    assert _groups(rt.Direction("image", "audio"), features)["all"].queries == 2, "what has no partner does not ask"


def test_a_direction_without_a_pair():
    items = {"text": rt.collect_items(["a", ""]), "image": rt.collect_items(["", "0.png"])}
    with pytest.raises(ValueError, match="text -> image: no row of the manifest shows both"):
        rt.measure_groups({m: torch.eye(1) for m in items}, items, [rt.Direction("text", "image")], ["", ""])


def test_sheet_says_what_sounds_are():
    items = {modality: rt.collect_items(cells) for modality, cells in VIEWS.items()}
    features = {"audio": torch.eye(4), "image": torch.eye(3, 4)}
    (example,) = rr.pick_examples(features, items, rt.Direction("audio", "image"), 1, 5)
    assert example.query[0] == "audio" and example.notes["2.wav"] == "rouge" and len(example.results) == 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--columns", "text", "--directions", "text:image"], "MODALITY=COLUMN"),
        (["--columns", "text=caption", "--directions", "text:image"], "no column is named for 'image'"),
        (["--columns", "text=caption", "image=image"], "nothing to measure"),
    ],
)
def test_command_line_messages(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit):
        rr.main(["model.pt", "test.tsv", "--out", str(tmp_path), *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["test.tsv", "model.pt"])
def test_what_is_missing_is_told_without_a_traceback(tmp_path, missing):
    (tmp_path / "test.tsv").write_text("image\tcaption\na.png\ta cat\n")
    (tmp_path / missing).unlink(missing_ok=True)
    arguments = ["--columns", "text=caption", "image=image", "--directions", "text:image", "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match=rf"error: .*{missing}"):
        rr.main([str(tmp_path / "model.pt"), str(tmp_path / "test.tsv"), *arguments])


def test_cells_of_a_manifest(tmp_path):
    (tmp_path / "m.tsv").write_text("id\timage\tcaption\n1\tx/a.png\tA cat\n2\t/abs/b.png\tA dog\n3\t\tA cow\n")
    cells = views.read_cells(tmp_path / "m.tsv", {"text": "caption", "image": "image"}, files=["image"])
    assert cells == {"text": ["A cat", "A dog", "A cow"], "image": [str(tmp_path / "x/a.png"), "/abs/b.png", ""]}
