"""``python -m tests.parity`` on the recorded numbers, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import golden_path

ROOT = Path(__file__).resolve().parents[1]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "tests.parity", str(folder), *options]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("path", [[], ["--reference"]], ids=["fast", "reference"])
def test_every_recorded_case_is_within_tolerance(path: list[str]) -> None:
    result = run(golden_path(), *path)
    lines = result.stdout.strip().splitlines()
    assert result.returncode == 0, [line for line in lines if not line.startswith("ok")] + result.stderr.splitlines()[
        -5:
    ]
    folders = [path.name for path in golden_path().iterdir() if path.is_dir() and path.name != "checkpoint"]
    assert {"pretrain_vl", "retrieval", "classify_vl_vqa", "upgrade", "processing"} <= set(folders)
    for case in folders:
        assert sum(f" {case}: " in line for line in lines) >= 5, case


def test_a_wrong_number_fails(tmp_path: Path) -> None:
    case = tmp_path / "processing"
    case.mkdir()
    recorded = golden_path("processing", "audio_feature_length.json").read_text()
    (case / "audio_feature_length.json").write_text(recorded.replace('"16000": 49', '"16000": 50'))
    result = run(tmp_path)
    assert result.returncode == 1 and "FAIL processing" in result.stdout


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 2
