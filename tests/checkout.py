"""A fresh checkout to work in, and commands run in it."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NOT_SOURCE = (
    ".venv",
    ".git",
    "outputs",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "*.pt",
)


def copy_checkout(folder: Path) -> Path:
    """The repository as ``git clone`` leaves it."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_SOURCE))
    return folder


def run(*command: object, cwd: Path, **environment: str) -> str:
    """What a command prints; the test shows the end of it if the command fails."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-6000:]}"
    return done.stdout
