"""What the documentation tells a reader to type is typed here, in order, in a fresh checkout with small data sets.

A fenced block says in its info string whether it is run: ``bash test``, ``python test``, or ``bash no-test: reason``
for what needs GPUs or hours; those must still parse. ``file=PATH`` is a part of a file that the reader writes,
``from=PATH`` one of a file that is there. Long runs are shortened as `SHORTER` says.
"""

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tests.checkout import ROOT, copy_checkout, run
from tests.small_data import train_vocabulary, write_drawings, write_pictures, write_sounds

DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "run_scripts/**/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
SHORTER = {
    "--max-epoch 30": "--max-epoch 1",
    "--max-epoch 10": "--max-epoch 1",
    "max_epoch: 30": "max_epoch: 1",
    "--max-duration 15": "--max-duration 1",
}
FENCE = re.compile(r"^```(\w+)?[ ]*(.*?)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    mark: str
    code: str


def blocks(document: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall((ROOT / document).read_text(encoding="utf-8"))]


def shell(*command: str, cwd: Path) -> str:
    """What a command prints where the tests' environment is activated."""
    return run(*command, cwd=cwd, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Callable[[Path], Path]:
    """Document -> the checkout after everything in it was typed."""

    @functools.cache
    def follow(document: Path) -> Path:
        checkout = copy_checkout(tmp_path_factory.mktemp(document.stem) / "checkout")
        write_pictures(checkout / "my_data")
        write_sounds(checkout / "my_sounds")
        write_drawings(checkout / "my_drawings")
        if document != Path("README.md"):  # the others go on where the README has a vocabulary
            train_vocabulary(checkout / "my_data/bpe")
        for language, mark, code in blocks(document):
            for written, shorter in SHORTER.items():
                code = code.replace(written, shorter)
            if mark == "test":
                command = {"bash": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-c")}[language]
                shell(*command, code, cwd=checkout)
            elif mark.startswith("file="):
                path = checkout / mark.removeprefix("file=")
                path.parent.mkdir(exist_ok=True)
                with path.open("a") as file:
                    file.write(code)
        return checkout

    return follow


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_blocks_are_marked_and_parse(document, tmp_path):
    for language, mark, code in blocks(document):
        if language == "bash":
            assert mark == "test" or re.fullmatch(r"no-test: .+", mark), f"bash {mark!r} before {code[:60]!r}"
            shell("bash", "-n", "-c", code, cwd=tmp_path)
        elif language == "python":
            compile(code, str(document), "exec")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_quotations_are_what_the_files_say(document):
    quoted = [(b.mark.removeprefix("from="), b.code) for b in blocks(document) if b.mark.startswith("from=")]
    assert [path for path, code in quoted if code not in (ROOT / path).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if any(b.mark == "test" for b in blocks(d))], ids=str)
def test_commands_run(document, followed):
    followed(document)


def test_hydra_repeats_the_run_of_the_flags(followed):
    outputs = followed(Path("README.md")) / "outputs"
    flags, hydra = (torch.load(outputs / run / "checkpoint_last.pt")["model"] for run in ("stage1", "stage1_hydra"))
    assert flags.keys() == hydra.keys()
    assert all(torch.equal(flags[key], hydra[key]) for key in flags)


def test_stage_2_leaves_the_words_alone(followed):
    outputs = followed(Path("README.md")) / "outputs"
    before, after = (torch.load(outputs / f"{run}/checkpoint_best.pt")["model"] for run in ("stage1", "stage2"))
    frozen = [
        key for key in before.keys() & after.keys() if key.startswith("encoder_wrapper") or key == "text_proj.weight"
    ]
    assert frozen and all(torch.equal(before[key], after[key]) for key in frozen)


def test_every_run_left_a_checkpoint(followed):
    """`wait` after commands in the background says nothing about them."""
    for document in (Path("README.md"), Path("docs/pretraining.md"), Path("docs/new_modality.md")):
        runs = [path for path in (followed(document) / "outputs").iterdir() if path.is_dir()]
        assert runs and all((run / "checkpoint_last.pt").is_file() for run in runs)


def test_every_shortening_is_used():
    code = "".join(block.code for document in DOCUMENTS for block in blocks(document) if block.mark)
    assert [written for written in SHORTER if written not in code] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document):
    text = FENCE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [t for t in targets if t and "://" not in t and not (ROOT / document).parent.joinpath(t).exists()]
    assert missing == []
