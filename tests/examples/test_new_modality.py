"""Drawings as a modality of the user's own: what is read of an SVG file, and a run on few of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from one_peace.data.errors import SampleError
from one_peace.data.manifest import Manifest
from one_peace.examples import retrieval_report
from one_peace.examples.clipart.drawings import DrawingError
from one_peace.examples.new_modality import prepare
from one_peace.examples.new_modality.segments import BOX, FILL, KIND, PLACES, POINTS, STROKE, read_segments
from one_peace.examples.result_picture import Example, draw_examples
from one_peace.modalities import get_modality
from one_peace.models import from_pretrained
from one_peace.models.merge import merge_checkpoints
from tests.checkout import ROOT
from tests.checkout import run as call
from tests.small_data import train_vocabulary, write_drawings, write_pictures
from tests.tasks.cli import SMALL, TINY_DECODER, command, run, train_flags

EXAMPLE = Path(prepare.__file__).parent
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
PAGE = HEAD + 'width="100" height="100">'


def segments(folder: Path, inside: str, head: str = PAGE, most: int = 100) -> np.ndarray:
    path = folder / "drawing.svg"
    path.write_text(f"{head}{inside}</svg>")
    return read_segments(path, most)


def test_a_square_is_four_lines(tmp_path):
    square = segments(tmp_path, '<rect x="10" y="20" width="40" height="40" fill="#ff0000"/>')
    corners = [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]
    assert square[:, POINTS][:, :2].tolist() == corners[:4] and square[:, POINTS][:, 6:].tolist() == corners[1:]
    assert square[0, POINTS].reshape(4, 2)[:, 0] == pytest.approx([-1, -1 / 3, 1 / 3, 1]), "straight, as a cubic curve"
    assert (square[:, BOX] == [-1, -1, 1, 1]).all()
    assert square[:, KIND].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert (square[:, FILL] == [1, 0, 0, 1]).all() and (square[:, STROKE][:, 3] == 0).all()


@pytest.mark.parametrize(
    ("inside", "head"),
    [
        ('<path d="m 10,20 h 40 v 40 h -40 z"/>', PAGE),
        ('<g transform="translate(10 20) scale(2)"><rect width="20" height="20"/></g>', PAGE),
        ('<defs><rect id="a" width="40" height="40"/></defs><use xlink:href="#a" x="10" y="20"/>', PAGE),
        ('<polygon points="10,20 50,20 50,60 10,60"/>', HEAD + 'width="7cm" viewBox="0 0 100 100">'),
        ('<rect x="10" y="20" width="40" height="40"/><rect width="90" height="90" fill="none"/>', PAGE),
        ('<rect x="10" y="20" width="40" height="40"/><text x="0" y="9">words</text>', PAGE),
    ],
)
def test_the_same_square_however_it_is_written(tmp_path, inside, head):
    square = segments(tmp_path, inside, head)
    assert np.allclose(square[:, POINTS][:, :2], [[-1, -1], [1, -1], [1, 1], [-1, 1]], atol=1e-5)
    assert (square[:, FILL] == [0, 0, 0, 1]).all()


def test_curves_colours_and_lines(tmp_path):
    stops = '<stop style="stop-color:#000000"/><stop stop-color="white" stop-opacity="0.5"/>'
    drawing = segments(
        tmp_path,
        f"<defs><linearGradient id='b'>{stops}</linearGradient><radialGradient id='a' xlink:href='#b'/></defs>"
        "<style>.red { fill: red; opacity: 0.5 }</style>"
        '<g transform="scale(2)"><circle cx="25" cy="25" r="25" style="fill:url(#a);stroke:blue;stroke-width:5"/></g>'
        '<path class="red" d="M 0 0 Q 50 100 100 0"/>',
    )
    circle, bow = drawing[:4], drawing[4:]
    assert circle[:, KIND][:, 0].all() and bow[:, KIND].tolist() == [[1, 0, 1]]
    assert np.hypot(*circle[:, POINTS][:, :2].T) == pytest.approx(1, abs=1e-3)
    assert np.allclose(circle[:, FILL], [0.5, 0.5, 0.5, 0.75])
    assert np.allclose(circle[:, STROKE], [0, 0, 1, 1, 0.2], atol=1e-3), "the line's width grows with the drawing"
    assert np.allclose(bow[0, FILL], [1, 0, 0, 0.5], atol=0.01)


def test_the_longest_segments_are_kept_in_the_order_of_painting(tmp_path):
    lines = "".join(f'<path stroke="red" d="M 0 {y} h {10 + y % 7}"/>' for y in range(50))
    everything, longest = segments(tmp_path, lines), segments(tmp_path, lines, most=7)
    assert len(everything) == 50 and len(longest) == 7
    lengths = everything[:, 6] - everything[:, 0]
    chosen = everything[np.sort(np.argsort(-lengths, kind="stable")[:7])]
    assert (longest == chosen).all()
    assert (abs(everything[:, PLACES]) <= 1).all()


_LAUGHS = "".join(
    f'<g id="g{i}">' + f'<use xlink:href="#g{i - 1}"/>' * 10 + "</g>" if i else '<g id="g0"><rect/></g>'
    for i in range(12)
)


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ("<text>words</text>", "paints nothing"),
        ('<rect width="9" height="9" fill="none"/>', "paints nothing"),
        ('<path d="M 1 1 L nan inf"/>', "paints nothing|no SVG"),
        ('<path d="M 1 1 L 1e400 5"/>', "paints nothing|no SVG"),
        (_LAUGHS, "elements, those counted that are used again; 20000 are read"),
        ('<g id="a"><use xlink:href="#a"/></g>', "use one another in a circle"),
        ("<g>" * 2000 + "</g>" * 2000, "nested too deeply"),
        ("<rect", "no XML"),
        ('<rect width="x" height="9"/>', "no SVG|paints nothing"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, inside, reason):
    with pytest.raises(DrawingError, match=reason) as error:
        segments(tmp_path, inside)
    assert "drawing.svg" in str(error.value)


def test_entities_are_refused(tmp_path):
    with pytest.raises(DrawingError, match="no XML"):
        segments(tmp_path, "&a;", f'<!DOCTYPE svg [<!ENTITY a "{"x" * 99}">]>' + PAGE)


def test_reader(tmp_path):
    write_drawings(tmp_path)
    reader = get_modality("vector").reader.from_options({}, {"max_segments": 6})
    still = [reader.load("drawings/0001.svg", tmp_path) for _ in range(2)]
    assert torch.equal(*still) and len(still[0]) <= 6
    moved, again, other = (
        reader.load("drawings/0001.svg", tmp_path, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(moved, again) and not torch.equal(moved, other)
    assert torch.equal(still[0], reader.load("drawings/0001.svg", tmp_path)), "what is kept is never changed"
    assert (moved - still[0])[:, PLACES.stop :].abs().max() == 0 < (moved - still[0]).abs().max() <= 0.2 + 1e-6
    mask = reader.mask(torch.zeros(60, 24), "span", 0.5, torch.Generator().manual_seed(1))
    assert mask.sum() == 30 and (mask[1:] != mask[:-1]).sum() < 20
    (tmp_path / "words.svg").write_text(f"{PAGE}</svg>")
    with pytest.raises(SampleError, match=r"words\.svg: paints nothing"):
        reader.load("words.svg", tmp_path)
    with pytest.raises(SampleError, match="no such file"):
        reader.load("none.svg", tmp_path)


def clipart(folder: Path) -> Path:
    """What examples/clipart leaves behind, of twelve drawings with four titles: pictures, SVG files, a vocabulary."""
    write_pictures(folder / "pictures")
    write_drawings(folder / "shapes")
    package = folder / "package/openclipart-svg_1_all/usr/share/openclipart/svg"
    package.mkdir(parents=True)
    (folder / "shapes/drawings").rename(package / "signs")
    (package / "signs/0012.svg").write_text(f"{PAGE}<text>words</text></svg>")
    (folder / "data/images/clipart").mkdir(parents=True)
    (folder / "pictures/images").rename(folder / "data/images/clipart/signs")
    lines = []
    for number, row in enumerate((folder / "pictures/train.tsv").read_text().splitlines()[1:], start=1):
        picture = folder / f"data/images/clipart/signs/{number:04d}.jpg"
        picture.rename(picture.with_suffix(".png"))
        title = f"a {row.split()[-2]} square"
        lines.append(f"clipart/signs/{number:04d}\timages/clipart/signs/{number:04d}.png\t{title}")
    others = ["stamps/bee\timages/clipart/signs/0001.png\ta bee", lines[0].replace("\t", ".0.0\t", 1)]
    for split, part in {"train": others + lines[::3] + lines[1::3], "valid": lines[:2], "test": lines[2::3]}.items():
        (folder / f"data/{split}.tsv").write_text("\n".join(["image_id\timage\tcaption", *part]) + "\n")
    train_vocabulary(folder / "data/bpe")
    return folder


def script(name: str, *arguments: str, **environment: object) -> str:
    """What a script of the example prints."""
    texts = {key: str(value) for key, value in environment.items()}
    return call("bash", EXAMPLE / name, *arguments, cwd=Path("/"), PYTHON=sys.executable, THREADS="1", **texts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a stage 1 on pictures, the manifests of drawings, and a stage 2 on them by train.sh."""
    folder = tmp_path_factory.mktemp("it's vector")  # a name that has to be quoted
    data = clipart(folder / "clipart") / "data"
    small = {"encoder": SMALL.replace(" ", ""), "decoder": TINY_DECODER.replace(" ", "")}
    run(
        command(
            "train",
            data,
            "image_text_pretrain",
            **train_flags(
                folder / "stage1",
                "image_text_pretrain",
                **small,
                bpe_dir=data / "bpe",
                patch_image_size=32,
                max_epoch=1,
            ),
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "KEPT", 2)
        assert prepare.main(["--clipart", str(folder / "clipart"), "--out", str(folder / "out/data")]) == 0
    script(
        "train.sh",
        *("optimization.max_update=2", "dataset.batch_size=4"),
        *(f"++model.{part}={options}" for part, options in small.items()),
        CPU=1,
        BF16=1,
        OUT=folder / "out",
        CLIPART=folder / "clipart",
        STAGE1=folder / "stage1/checkpoint_last.pt",
    )
    return folder


def test_manifests_name_the_same_drawings(trained):
    rows = {}
    for split in ("train", "valid", "test", "all"):
        table = Manifest(trained / f"out/data/{split}.tsv", prepare.COLUMNS)
        rows[split] = [table[number] for number in range(len(table))]
    names = {split: {name for name, *_ in part} for split, part in rows.items()}
    assert names["test"] == {f"clipart/signs/{number:04d}" for number in (3, 6, 9)}, "12 paints nothing"
    assert len(names["train"] | names["valid"]) == 8 == len(rows["train"]) + len(rows["valid"])
    assert names["all"] == names["train"] | names["valid"] | names["test"]
    assert rows["test"][0][1] == "a red square"
    assert [name for name, _, drawing, _ in rows["all"] if drawing] == [name for name, *_ in rows["test"]]
    for _, _, drawing, image in rows["train"] + rows["test"]:
        assert (trained / "out/data" / drawing).is_file() and (trained / "out/data" / image).is_file()


def test_stage_1_stays_as_it_is_and_both_stages_are_one_model(trained):
    stages = trained / "stage1/checkpoint_last.pt", trained / "out/stage2/checkpoint_last.pt"
    before, after = (torch.load(path)["model"] for path in stages)
    shared = [key for key in before.keys() & after.keys() if key.startswith(("encoder_wrapper", "text_proj"))]
    assert shared and all(torch.equal(before[key].bfloat16(), after[key].bfloat16()) for key in shared)
    assert "encoder_wrapper.fusion_model.layers.0.vector_ffn.0.wi_0.weight" in after
    torch.save(merge_checkpoints(stages), trained / "one_peace.pt")
    model = from_pretrained(trained / "one_peace.pt")
    assert set(model.modalities) == {"text", "image", "vector"}
    drawings = sorted((trained / "clipart").rglob("*.svg"))[:-1]
    together, alone = (model.embed("vector", drawings, batch_size=size) for size in (11, 1))
    assert torch.allclose(together, alone, atol=1e-5), "padding changes nothing"
    assert together.shape == (11, 32) and len(together.unique(dim=0)) > 1
    views = ("--columns", "vector=drawing", "text=caption", "image=image", "--user-dir", str(EXAMPLE))
    wanted = ("--directions", "vector:text", "--emergent", "vector:image", "--out", str(trained / "report"))
    retrieval_report.main([str(trained / "one_peace.pt"), str(trained / "out/data/all.tsv"), *views, *wanted])
    table = (trained / "report/report.md").read_text()
    assert re.search(r"vector -> text +\| +3 \| +4 \|", table), "few drawings, all titles"
    assert re.search(r"vector -> image \(emergent\) +\| +3 \| +11 \|", table), "few drawings, all pictures"


@pytest.mark.parametrize("name", ["prepare.sh", "train.sh", "evaluate.sh"])
def test_scripts_explain_themselves_and_name_what_is_missing(name, tmp_path):
    assert script(name, "--help", OUT=tmp_path).startswith("Usage: ")
    done = subprocess.run(
        ["bash", EXAMPLE / name],
        env={"OUT": str(tmp_path), "CLIPART": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode and "first" in done.stderr


def test_results_show_drawings(tmp_path):
    (tmp_path / "red.svg").write_text(f'{PAGE}<rect width="90" height="90" fill="#ff0000"/></svg>')
    example = Example("", ("vector", str(tmp_path / "red.svg")), [("text", "a red square", True)])
    draw_examples([example], tmp_path / "sheet.png", "Drawings")
    red, green, blue = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).reshape(-1, 3).astype(int).T
    assert ((red > 240) & (green < 15) & (blue < 15)).sum() > 1000


def test_the_core_does_not_know_drawings():
    for room in ("models", "criterions", "tasks", "data", "modalities", "metrics", "optim", "user_module"):
        for path in (ROOT / room).rglob("*.py"):
            assert not re.search(r"svg|new_modality|['\"]vector['\"]", path.read_text().lower()), path


def test_a_copy_of_the_folder_is_a_modality_of_its_own(tmp_path):
    """As docs/new_modality.md begins."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("vector.py", "segments.py"):
        (folder / name).write_text((EXAMPLE / name).read_text())
    (folder / "__init__.py").write_text("from one_peace import user_module\nfrom . import vector\n")
    code = "import mine, logging; from one_peace.modalities import get_modality; "
    code += "print(get_modality('vector').reader.__module__, logging.getLogger().level)"
    printed = call(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert printed.splitlines()[-1] == "mine.vector 30", "and fairseq's debug messages are off"
