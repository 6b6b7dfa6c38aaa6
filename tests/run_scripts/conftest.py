"""Starting a script whose programs are played: they print what they got, an argument a line."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fairseq.dataclass.initialize import hydra_init
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

SCRIPTS = Path(__file__).resolve().parents[2] / "run_scripts"
_PLAY = '#!/usr/bin/env bash\nprintf "%s\\n" "> ${0##*/}" "$@"\n'


def calls(output: str) -> list[list[str]]:
    """The commands that played programs printed: program, then arguments."""
    return [call.splitlines() for call in output.split("> ")[1:]]


@pytest.fixture
def start(tmp_path) -> Callable[..., tuple[int, str]]:
    """``start("vqa/finetune.sh", "--help", DATA="data")``: exit status and output, beside data/, bpe/, checkpoints."""
    (tmp_path / "data").mkdir()
    (tmp_path / "bpe").mkdir()
    for file in ("bpe/dict.txt", "one-peace.pt", "it's.pt"):
        (tmp_path / file).touch()
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("fairseq-hydra-train", "fairseq-validate", "torchrun", "python"):
        (programs / program).write_text(_PLAY)
        (programs / program).chmod(0o755)

    def start(script: str, *arguments: str, **variables: str) -> tuple[int, str]:
        environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", **variables}
        command = ["bash", str(SCRIPTS / script), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return start


def composed(call: list[str]) -> DictConfig:
    """The config that fairseq-hydra-train would make of its arguments."""
    _, _, folder, _, name, *overrides = call
    hydra_init(name)
    # the version that fairseq-hydra-train runs by, which this process and its forks keep
    with initialize_config_dir(config_dir=folder, version_base="1.1"):
        return compose(name, overrides=overrides)
