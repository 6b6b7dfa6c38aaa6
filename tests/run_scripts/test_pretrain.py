"""What the pretraining scripts make of their variables; the programs they start are played and print what they got."""

import pytest
from omegaconf import OmegaConf

from tests.run_scripts.conftest import SCRIPTS, calls, composed

GIVEN = {"DATA": "data", "BPE": "bpe", "STAGE1": "one-peace.pt"}
STAGES = ["stage1", "stage2"]


def started(start, script: str, *arguments: str, **variables: str) -> list[str]:
    status, output = start(script, *arguments, **variables)
    assert status == 0, output
    (call,) = calls(output)
    return call


@pytest.mark.parametrize("stage", STAGES)
def test_help_names_every_variable(stage, start):
    status, output = start(f"pretrain/{stage}.sh", "--help")
    assert status == 0
    variables = {"DATA", "BPE", "OUT", "SIZE", "BF16", "SMOKE", "NODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"}
    variables |= {"CPU", "PROCESSES"}
    assert all(name in output for name in variables | ({"STAGE1"} if stage == "stage2" else set()))


@pytest.mark.parametrize("stage", STAGES)
def test_missing_variable_is_named(stage, start):
    status, output = start(f"pretrain/{stage}.sh", DATA="data")
    assert status == 2 and output.startswith("BPE is not set")


def test_one_machine(start):
    program, *arguments = started(start, "pretrain/stage1.sh", "dataset.batch_size=8", **GIVEN)
    assert program == "fairseq-hydra-train"
    assert arguments[:4] == ["--config-dir", str(SCRIPTS / "pretrain"), "--config-name", "stage1"]
    assert {"task.data=data", "task.bpe_dir=bpe", "model.size=4b", "checkpoint.save_dir=outputs/stage1"} <= {*arguments}
    assert arguments[-1] == "dataset.batch_size=8"
    assert not [argument for argument in arguments if "fp16" in argument or "bf16" in argument]


def test_several_machines(start):
    call = started(start, "pretrain/stage1.sh", **GIVEN, NODES="4", NODE_RANK="3", MASTER_ADDR="first")
    options = "--nnodes 4 --node-rank 3 --nproc-per-node gpu --master-addr first --master-port 29500"
    assert call[:11] == ["torchrun", *options.split(" ")] and call[11].endswith("/fairseq-hydra-train")
    assert "++distributed_training.distributed_world_size=4" in call, "or one GPU each would train alone"
    status, output = start("pretrain/stage1.sh", **GIVEN, NODES="4", NODE_RANK="3", MASTER_ADDR="first", CPU="1")
    assert status == 2 and "with CPU=1 start each process for itself" in output


def test_several_processes_on_a_cpu(start):
    call = started(start, "pretrain/stage1.sh", **GIVEN, CPU="1", PROCESSES="2")
    assert call[:4] == ["torchrun", "--standalone", "--nproc-per-node", "2"]
    assert call[4].endswith("/fairseq-hydra-train") and "++common.cpu=true" in call
    assert "++distributed_training.distributed_world_size=2" in call


@pytest.mark.parametrize(("variables", "gpus"), [({}, "all"), ({"CPU": "1"}, "none")])
def test_gpus_are_left_alone(start, tmp_path, variables, gpus):
    program = tmp_path / "programs/fairseq-hydra-train"
    program.write_text('#!/bin/sh\n[ "${CUDA_VISIBLE_DEVICES-unset}" = "" ] && echo none || echo all\n')
    assert start("pretrain/stage1.sh", **GIVEN, **variables) == (0, f"{gpus}\n")


@pytest.mark.parametrize(
    ("variables", "tunables"),
    [
        ({}, "unset"),
        ({"CPU": "1"}, "glibc.malloc.tcache_count=0"),
        ({"CPU": "1", "GLIBC_TUNABLES": ""}, ""),
    ],
)
def test_the_c_library_on_a_cpu_keeps_no_small_pieces_apart(start, tmp_path, variables, tunables):
    program = tmp_path / "programs/fairseq-hydra-train"
    program.write_text('#!/bin/sh\necho "${GLIBC_TUNABLES-unset}"\n')
    assert start("pretrain/stage1.sh", **GIVEN, **variables) == (0, f"{tunables}\n")


def test_several_machines_need_a_rank(start):
    status, output = start("pretrain/stage1.sh", **GIVEN, NODES="4", MASTER_ADDR="first")
    assert status == 2 and output.startswith("NODE_RANK is not set")


def test_processes_started_one_by_one(start):
    given = GIVEN | {"RANKS": "16", "RANK": "9", "LOCAL_RANK": "1", "INIT": "tcp://first:29500"}
    program, *arguments = started(start, "pretrain/stage1.sh", **given)
    assert program == "fairseq-hydra-train"
    assert {
        "++distributed_training.distributed_world_size=16",
        "++distributed_training.distributed_rank=9",
        "++distributed_training.distributed_init_method='tcp://first:29500'",
        "++distributed_training.distributed_no_spawn=true",
        "++distributed_training.device_id=1",
    } <= {*arguments}
    assert not [argument for argument in arguments if "gloo" in argument]
    assert "++distributed_training.distributed_backend=gloo" in started(start, "pretrain/stage1.sh", **given, CPU="1")


def test_bfloat16_and_size(start):
    arguments = started(start, "pretrain/stage1.sh", **GIVEN, BF16="1", SIZE="base")
    assert {"common.fp16=false", "common.bf16=true", "model.size=base"} <= {*arguments}


def test_stage_2_starts_from_stage_1(start, tmp_path):
    assert "checkpoint.finetune_from_model=one-peace.pt" in started(start, "pretrain/stage2.sh", **GIVEN)
    usual = "outputs/stage1/checkpoint_best.pt"
    assert start("pretrain/stage2.sh", DATA="data", BPE="bpe") == (
        2,
        f"STAGE1 is {usual}, but there is no such file\n",
    )
    (tmp_path / usual).parent.mkdir(parents=True)
    (tmp_path / usual).touch()
    assert f"checkpoint.finetune_from_model={usual}" in started(start, "pretrain/stage2.sh", DATA="data", BPE="bpe")


@pytest.mark.parametrize(
    "folder", ["my data", "it's, {here}", "a=b", "ünï", "back\\slash\\", "\\'", "~", "1e3", "null"]
)
def test_any_path_reaches_the_config(start, folder, tmp_path):
    (tmp_path / folder).mkdir()
    assert composed(started(start, "pretrain/stage1.sh", DATA=folder, BPE="bpe")).task.data == folder


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
            for stage in STAGES
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
    assert OmegaConf.select(OmegaConf.load(SCRIPTS / f"pretrain/{stage}.yaml"), key) == value
