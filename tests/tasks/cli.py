"""fairseq's command lines, each in a process of its own."""

import json
import logging
import multiprocessing
import os
import re
import runpy
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
USER_MODULE = ROOT / "user_module"
SMALL = "{layers: 1, embed_dim: 32, ffn_embed_dim: 32, attention_heads: 2, drop_path_rate: 0.2}"
TINY_DECODER = "{layers: 1, embed_dim: 16, ffn_embed_dim: 16, attention_heads: 2}"
_SECONDS = 240


def command(tool: str, data: Path, task: str, user_dir: Path = USER_MODULE, **options) -> list[str]:
    """``fairseq-train`` or ``fairseq-validate`` with flags by name; True is a switch, False and None leave one out."""
    flags = {
        "user_dir": user_dir,
        "task": task,
        "bpe_dir": data.parent / "bpe",
        "batch_size": 4,
        "num_workers": 1,
        "log_format": "json",
        "log_interval": 1,
        **options,
    }
    words = [word for key, value in flags.items() for word in _flag(key, value)]
    return [sys.executable, "-m", f"fairseq_cli.{tool}", str(data), "--cpu", *words]


def _flag(key: str, value) -> list[str]:
    flag = f"--{key.replace('_', '-')}"
    return [] if value in (False, None) else [flag] if value is True else [flag, str(value)]


def train_flags(save_dir: Path, task: str, **options) -> dict:
    """Two epochs of pretraining a tiny model."""
    return {
        "arch": "one_peace_pretrain_tiny",
        "encoder": SMALL,
        "decoder": TINY_DECODER,
        "criterion": f"{task}_loss",
        "optimizer": "adjust_adam",
        "lr": 1e-3,
        "lr_scheduler": "adjust_cosine",
        "warmup_ratio": 0.2,
        "max_epoch": 2,
        "best_checkpoint_metric": "r_mean",
        "maximize_best_checkpoint_metric": True,
        "save_dir": save_dir,
        **options,
    }


def two_ranks() -> list[dict]:
    """Flags of two processes of one run on this machine, which meet at a free port."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    shared = {
        "ddp_backend": "legacy_ddp",
        "distributed_backend": "gloo",
        "distributed_init_method": f"tcp://localhost:{port}",
        "distributed_no_spawn": True,
        "distributed_world_size": 2,
    }
    return [{**shared, "distributed_rank": rank} for rank in range(2)]


def start(words: list[str], **kwargs) -> subprocess.Popen:
    """A command in a new interpreter."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)


def run(*commands: list[str], ok: bool = True) -> str:
    """What commands print that run side by side, in forks of this process: they have torch imported already."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryFile("w+") as output:
        processes = [context.Process(target=_main, args=(words[2:], output.fileno())) for words in commands]
        for process in processes:
            process.start()
        for process in processes:
            process.join(_SECONDS)
        hung = [process for process in processes if process.is_alive()]
        for process in hung:
            process.kill()
        output.seek(0)
        text = output.read()
    assert not hung, text[-6000:]
    assert all((process.exitcode == 0) == ok for process in processes), text[-6000:]
    return text


def _main(words: list[str], output: int) -> None:
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
    logging.root.handlers.clear()  # those of pytest
    torch.set_num_threads(torch.get_num_threads())  # PyTorch's pool anew: of several threads that ask first, some fail
    module, *sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def logged(output: str, kind: str) -> list[dict]:
    """The json lines fairseq logs under ``kind`` (train_inner, train, valid)."""
    lines = re.findall(rf"\| {kind} \| (\{{.*\}})", output)
    return [json.loads(line) for line in lines]
