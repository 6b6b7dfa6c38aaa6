"""What the documentation tells a reader to type is typed here, in order, in a fresh checkout with a small data set.

A fenced block says in its info string whether it is run: ``bash test``, ``python test``, or ``bash no-test: reason``
for what needs GPUs or hours; those must still parse. ``file=PATH`` is a part of that file. Long runs are
shortened as `SHORTER` says.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from tests.docs.small_data import write_pictures, write_sensors, write_sounds

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "run_scripts/**/*.md")
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


def shell(command: list[str], folder: Path) -> None:
    tools = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout.decode()[-6000:]}"


def shortened(code: str) -> str:
    for written, run in SHORTER.items():
        code = code.replace(written, run)
    return code


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The repository beside a reader's own pictures and sounds."""
    unwanted = shutil.ignore_patterns(".venv", ".git", "outputs", "build", "__pycache__", ".*_cache", ".hypothesis")
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT, folder, ignore=unwanted)
    write_pictures(folder / "my_data")
    write_sounds(folder / "my_sounds")
    write_sensors(folder / "my_sensors")
    return folder


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_blocks_are_marked_and_parse(document, tmp_path):
    for language, mark, code in blocks(document):
        if language == "bash":
            assert mark == "test" or re.fullmatch(r"no-test: .+", mark), f"bash {mark!r} before {code[:60]!r}"
            shell(["bash", "-n", "-c", code], tmp_path)
        elif language == "python":
            compile(code, str(document), "exec")


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if any(b.mark == "test" for b in blocks(d))], ids=str)
def test_commands_run(document, checkout):
    for language, mark, code in blocks(document):
        if mark == "test":
            command = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[language]
            shell([*command, shortened(code)], checkout)
        elif mark.startswith("file="):
            path = checkout / mark.removeprefix("file=")
            path.parent.mkdir(exist_ok=True)
            with path.open("a") as file:
                file.write(shortened(code))


def test_every_shortening_is_used():
    code = "".join(block.code for document in DOCUMENTS for block in blocks(document) if block.mark)
    assert [written for written in SHORTER if written not in code] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document):
    text = FENCE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [t for t in targets if t and "://" not in t and not (ROOT / document).parent.joinpath(t).exists()]
    assert missing == []


def test_small_data_is_what_the_readme_describes(checkout):
    header = (checkout / "my_data/train.tsv").read_text().splitlines()[0]
    assert any(block.code.startswith(header) for block in blocks(Path("README.md")))
    assert Image.open(checkout / "my_data/images/0001.jpg").size > (16, 16)
