"""What the tests of all modules use."""

import importlib
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from one_peace.data.manifest import Manifest


@pytest.fixture
def prepare(tmp_path, monkeypatch) -> Callable[..., Path]:
    """``prepare("vqa", "--vqa . --images images")``: the folder of manifests, made where the download is."""
    monkeypatch.chdir(tmp_path)

    def prepare(module: str, arguments: str, status: int = 0) -> Path:
        main = importlib.import_module(f"one_peace.data.prepare.{module}").main
        assert main([*shlex.split(arguments), "--out", "out"]) == status
        return tmp_path / "out"

    return prepare


def rows(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """The cells of a manifest, read as training reads them; every cell of a medium names a file."""
    manifest = Manifest(path, columns)
    found = [manifest[row] for row in range(len(manifest))]
    for column in {"image", "image1", "image2", "audio"}.intersection(columns):
        assert all((path.parent / row[columns.index(column)]).is_file() for row in found)
    return found
