"""What the pretraining scripts make of their variables; the programs they start are played and print what they got."""

import os
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

SCRIPTS = Path(__file__).resolve().parents[2] / "run_scripts/pretrain"
GIVEN = {"DATA": "pairs", "BPE": "bpe"}


@pytest.fixture
def start(tmp_path):
    """Starts a script with these variables; returns its exit status and output."""
    for program in ("fairseq-hydra-train", "torchrun"):
        (tmp_path / program).write_text('#!/usr/bin/env bash\necho "${0##*/}" "$@"\n')
        (tmp_path / program).chmod(0o755)

    def start(script: str, *arguments: str, **variables: str) -> tuple[int, str]:
        environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", **variables}
        command = ["bash", SCRIPTS / script, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return start


@pytest.mark.parametrize("script", ["stage1.sh", "stage2.sh"])
def test_help_names_every_variable(script, start):
    status, output = start(script, "--help")
    assert status == 0
    variables = {"DATA", "BPE", "OUT", "SIZE", "BF16", "SMOKE", "NODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"}
    assert all(name in output for name in variables | ({"STAGE1"} if script == "stage2.sh" else set()))


@pytest.mark.parametrize("script", ["stage1.sh", "stage2.sh"])
def test_missing_variable_is_named(script, start):
    status, output = start(script, DATA="pairs")
    assert status == 2 and output.startswith("BPE is not set")


def test_one_machine(start):
    status, output = start("stage1.sh", "dataset.batch_size=8", **GIVEN)
    program, *arguments = output.split()
    assert status == 0 and program == "fairseq-hydra-train"
    assert arguments[:4] == ["--config-dir", str(SCRIPTS), "--config-name", "stage1"]
    assert {"task.data=pairs", "task.bpe_dir=bpe", "model.size=4b", "checkpoint.save_dir=outputs/stage1"} <= {
        *arguments
    }
    assert arguments[-1] == "dataset.batch_size=8"
    assert not [argument for argument in arguments if "fp16" in argument or "bf16" in argument]


def test_several_machines(start):
    status, output = start("stage1.sh", **GIVEN, NODES="4", NODE_RANK="3", MASTER_ADDR="first")
    assert status == 0
    assert output.startswith("torchrun --nnodes 4 --node-rank 3 --nproc-per-node gpu --master-addr first")
    assert "/fairseq-hydra-train --config-dir" in output


def test_several_machines_need_a_rank(start):
    status, output = start("stage1.sh", **GIVEN, NODES="4", MASTER_ADDR="first")
    assert status == 2 and output.startswith("NODE_RANK is not set")


def test_bfloat16_and_size(start):
    arguments = start("stage1.sh", **GIVEN, BF16="1", SIZE="base")[1].split()
    assert {"common.fp16=false", "common.bf16=true", "model.size=base"} <= {*arguments}


def test_stage_2_starts_from_stage_1(start):
    assert "checkpoint.finetune_from_model=outputs/stage1/checkpoint_best.pt" in start("stage2.sh", **GIVEN)[1]
    assert "checkpoint.finetune_from_model=mine.pt" in start("stage2.sh", **GIVEN, STAGE1="mine.pt")[1]


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("stage1", "optimization.lr", [5e-4]),
        ("stage1", "optimization.max_update", 200_000),
        ("stage1", "lr_scheduler.warmup_updates", 3000),
        ("stage1", "dataset.batch_size", 32),
        ("stage2", "optimization.lr", [2e-4]),
        ("stage2", "optimization.max_epoch", 10),
        ("stage2", "lr_scheduler.warmup_ratio", 0.1),
        ("stage2", "dataset.batch_size", 16),
        ("stage2", "model.stage2_pretrain", True),
        *[
            (stage, key, value)
            for stage in ("stage1", "stage2")
            for key, value in {
                "common.fp16": True,
                "model.size": "4b",
                "model.encoder.drop_path_rate": 0.4,
                "optimization.clip_norm": 3.0,
                "optimizer.weight_decay": 0.05,
                "optimizer.adam_eps": 1e-8,
                "lr_scheduler.min_lr": 1e-6,
            }.items()
        ],
    ],
)
def test_recipe_of_the_release(stage, key, value):
    """The paper, with numbers as numbers (yaml reads 1e-6 as text where OmegaConf does not)."""
    assert OmegaConf.select(OmegaConf.load(SCRIPTS / f"{stage}.yaml"), key) == value
