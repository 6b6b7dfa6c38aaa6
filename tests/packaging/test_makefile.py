"""``.venv`` is made once, kept, brought up to date, and made again if that was cut short. pip and venv are played."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!/usr/bin/env bash
echo "$*" >> "$CALLS"
[[ "$*" == "-m venv "* ]] && { mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python"; }
[[ "$*" != *"$FAIL_AT"* || -z "$FAIL_AT" ]]
"""


class Folder:
    """A checkout whose python writes down how it is called."""

    def __init__(self, path: Path):
        self.path = path
        for name in ("Makefile", "setup.py", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, path)
        self.python = path / "played-python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)

    def make(self, target: str, fail_at: str = "", succeeds: bool = True) -> list[str]:
        """The calls that ``make target`` makes; those that contain ``fail_at`` fail."""
        calls = self.path / "calls"
        calls.write_text("")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment |= {"PYTHON": str(self.python), "CALLS": str(calls), "FAIL_AT": fail_at}
        done = subprocess.run(["make", target], cwd=self.path, env=environment, capture_output=True, text=True)
        assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
        self.output = done.stdout
        return calls.read_text().splitlines()


INSTALL = "-m pip install --disable-pip-version-check -e .[dev,examples] -c constraints.txt"
CREATE = "-m venv .venv"


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


def test_made_once(folder):
    first, second = folder.make("lint"), folder.make("lint")
    assert CREATE in first and INSTALL in first
    assert [call for call in second if "ruff" not in call] == []


def test_installs_again_when_a_requirement_changes(folder):
    folder.make("lint")
    later = (folder.path / ".venv/.ready").stat().st_mtime + 10
    os.utime(folder.path / "constraints.txt", (later, later))
    again = folder.make("lint")
    assert INSTALL in again and CREATE not in again


def test_interrupted_installation_starts_over(folder):
    folder.make("lint", fail_at="pip install", succeeds=False)
    again = folder.make("lint")
    assert CREATE in again and INSTALL in again
    assert not (folder.path / ".venv/.half-made").exists()


def test_interrupted_creation_starts_over(folder):
    (folder.path / ".venv/bin").mkdir(parents=True)
    assert CREATE in folder.make("lint")


def test_environment_made_by_hand_is_kept(folder):
    (folder.path / ".venv/bin").mkdir(parents=True)
    shutil.copy(folder.python, folder.path / ".venv/bin/python")
    (folder.path / ".venv/mine").touch()
    calls = folder.make("lint")
    assert INSTALL in calls and CREATE not in calls
    assert (folder.path / ".venv/mine").exists()


def test_interpreter_without_ensurepip(folder):
    calls = folder.make("lint", fail_at="-m venv .venv")
    assert "-m venv --without-pip .venv" in calls and "-m pip --python .venv/bin/python install pip" in calls


def test_help_lists_the_commands(folder):
    assert folder.make("help") == []
    for command in ("demo", "test", "lint", "format"):
        assert f"make {command}" in folder.output
