"""Real ``fairseq-train`` processes: a schedule given in epochs, two ranks, gradient accumulation, a kill, a resume."""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
LR, MIN_LR, EPOCHS = 1e-2, 1e-6, 3
# 22 samples in batches of 2 for 2 ranks: 6 batches a rank. One batch an update in epoch 1, two in the epochs after it.
UPDATES_OF_EPOCH = (6, 3, 3)
KILLED_IN_UPDATE = 8


def command(save_dir: Path, *more: str) -> list[str]:
    options = f"""
        --task optim_toy --arch optim_toy --criterion optim_toy --seed 3
        --optimizer adjust_adam --adam-eps 1e-8 --weight-decay 0.05 --layer-decay 0.9 --clip-norm 3.0
        --lr-scheduler adjust_cosine --warmup-ratio 0.25 --max-epoch {EPOCHS} --update-freq 1,2
        --batch-size 2 --required-batch-size-multiple 1 --num-workers 0 --cpu --disable-validation
        --save-interval-updates 1 --keep-interval-updates 1 --no-epoch-checkpoints --load-checkpoint-on-all-dp-ranks
        --log-format simple
    """
    return [
        *(sys.executable, "-m", "fairseq_cli.train", *options.split()),
        *("--user-dir", str(ROOT / "tests" / "optim" / "toy_plugin"), "--save-dir", str(save_dir)),
        *("--adam-betas", "(0.9, 0.98)", *more),
    ]


def start(folder: Path, rank: int, *more: str, stop_at: int | None = None) -> subprocess.Popen:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TOY_LOG": str(folder / f"log{rank}"),
        "TOY_STOP_AT": str(stop_at),
    }
    output = (folder / f"log{rank}.txt").open("a")
    arguments = command(folder / "save", "--distributed-rank", str(rank), *more)
    return subprocess.Popen(arguments, env=environment, stdout=output, stderr=output, cwd=folder)


def train(folder: Path, *more: str, ranks: int = 2, kill_at: int | None = None) -> None:
    """Run to the end, or kill all ranks in update ``kill_at``; rank r appends to ``log{r}`` and ``log{r}.txt``."""
    folder.mkdir(exist_ok=True)
    shared = ["--lr", str(LR), *more]
    if ranks > 1:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            address = f"tcp://localhost:{probe.getsockname()[1]}"
        shared += f"--distributed-init-method {address} --distributed-no-spawn --distributed-world-size {ranks}".split()
        shared += ["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"]
    processes = [start(folder, rank, *shared, stop_at=kill_at) for rank in range(ranks)]
    if kill_at is not None:
        stopped = [folder / f"log{rank}.stopped" for rank in range(ranks)]
        while not all(path.exists() for path in stopped) and all(process.poll() is None for process in processes):
            time.sleep(0.1)
        for process in processes:
            process.kill()
    for rank, process in enumerate(processes):
        code = process.wait(timeout=300)
        assert code == (0 if kill_at is None else -signal.SIGKILL), (folder / f"log{rank}.txt").read_text()[-3000:]


def read(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def by_update(records: list[dict]) -> dict[int, list[dict]]:
    updates: dict[int, list[dict]] = {}
    for record in records:
        updates.setdefault(record["update"], []).append(record)
    return updates


def cosine(n: int, total: int, lr: float = LR) -> float:
    warmup = int(total * 0.25)
    if n < warmup:
        return MIN_LR + (lr - MIN_LR) * n / warmup
    return MIN_LR + (lr - MIN_LR) * (1 + math.cos(math.pi * (n - warmup) / (total - warmup))) / 2


def same(a: object, b: object) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``whole`` (never stopped) and ``killed`` (both ranks killed in the middle of epoch 2, then resumed)."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "whole")
    train(folder / "killed", kill_at=KILLED_IN_UPDATE)
    (folder / "changed" / "save").mkdir(parents=True)
    shutil.copy(folder / "killed" / "save" / "checkpoint_last.pt", folder / "changed" / "save")
    train(folder / "killed")
    return folder


def test_warmup_ratio_of_a_run_given_in_epochs(runs: Path) -> None:
    """The rates used are the formula's over all updates of the run, each group's times its scale."""
    total = sum(UPDATES_OF_EPOCH)
    for rank in (0, 1):
        updates = by_update(read(runs / "whole" / f"log{rank}"))
        assert [len(updates[n]) for n in range(total)] == [1] * 6 + [2] * 6
        assert len(updates) == total
        for n, records in updates.items():
            for record in records:
                assert record["lrs"]["1.000"] == pytest.approx(cosine(n, total), rel=1e-12)
                for scale in (0.9, 0.9**2, 0.9**3):
                    assert record["lrs"][f"{scale:.3f}"] == record["lrs"]["1.000"] * scale
    assert read(runs / "whole" / "log0")[0]["lrs"]["1.000"] == MIN_LR  # no update is lost to a rate of 0


def test_a_killed_run_goes_on_bit_for_bit(runs: Path) -> None:
    for rank in (0, 1):
        whole, killed = (by_update(read(runs / name / f"log{rank}")) for name in ("whole", "killed"))
        assert killed == whole
    whole, killed = (
        torch.load(runs / name / "save" / "checkpoint_last.pt", weights_only=True) for name in ("whole", "killed")
    )
    assert same(whole["model"], killed["model"])
    assert same(whole["last_optimizer_state"], killed["last_optimizer_state"])
    history = whole["optimizer_history"][-1]
    assert history["lr_scheduler_state"]["epoch_batches"] == 6
    assert history == killed["optimizer_history"][-1]


def test_a_restart_honours_a_new_rate_and_keeps_its_plan(runs: Path) -> None:
    """One rank instead of two reads 11 batches an epoch; the plan of 6 holds, and a warning says so."""
    folder = runs / "changed"
    train(folder, "--lr", "2e-2", "--max-epoch", "2", ranks=1)
    records = read(folder / "log0")
    assert records[0]["update"] == KILLED_IN_UPDATE
    total = sum(UPDATES_OF_EPOCH[:2])
    for record in records:
        expected = cosine(record["update"], total, lr=2e-2) if record["update"] < total else MIN_LR
        assert record["lrs"]["1.000"] == pytest.approx(expected, rel=1e-12)
    assert "an epoch of 11 batches, but the learning rate was planned for 6" in (folder / "log0.txt").read_text()
