"""The commands as a user types them, in their shortest form; what they print must add up."""

import json
import subprocess
import sys

import pytest
import torch

from one_peace.benchmarks import machine, scaling, steps
from one_peace.benchmarks.works import Build


def run(name: str, *options: str) -> dict:
    """The json that a command prints on one thread."""
    command = [sys.executable, "-m", f"one_peace.benchmarks.{name}", "--repeats", "1", "--threads", "1", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = json.loads(done.stdout)
    described = printed["machine"]
    assert (described["threads"], described["dtype"], described["torch"]) == (1, "float32", torch.__version__)
    assert len(described["product_gflop_per_s"]) == 2 and min(described["product_gflop_per_s"]) > 0
    return printed["results"]


def test_steps(tmp_path) -> None:
    one = run("steps", "--only", "embed_text", "--out", str(tmp_path / "x.json"))["embed_text"]["fast"]
    assert one["samples_per_s"] == pytest.approx(16 / one["seconds"], rel=1e-2)
    assert one["gflop_per_s"] == pytest.approx(one["gflop"] / one["seconds"], rel=2e-2)
    assert one["parameters"] > 40e6 and one["added_mib"] > 1
    assert json.loads((tmp_path / "x.json").read_text())["results"] == {"embed_text": {"fast": one}}


def test_loading() -> None:
    one = run("loading", "--only", "vl_tiny_64", "--workers", "0")["vl_tiny_64"]
    assert one["workers_needed"] == pytest.approx(one["step"]["samples_per_s"] / one["worker_samples_per_s"], rel=1e-2)
    assert one["waiting_share"].keys() == {"0"} and 0 < one["waiting_share"]["0"] < 1


def test_scaling() -> None:
    one = run("scaling", "--axes", "size", "--quick")["size"]["tiny"]
    assert one["samples_per_s"] == pytest.approx(8 / one["seconds"], rel=1e-2)
    assert one["gflop_per_s"] == pytest.approx(8 * one["gflop_per_sample"] / one["seconds"], rel=2e-2)
    assert one["added_mib"] is None  # left out by --quick


def test_processes() -> None:
    """Pairs a second are those of all processes; in the contrast each multiplies as much however many there are."""
    samples = {"ranks": {"1": 2, "2": 4}, "contrast_ranks": {"1": 64, "2": 2 * 45}}
    results = run("scaling", "--axes", *samples, "--quick")
    assert {axis: points.keys() for axis, points in results.items()} == {a: p.keys() for a, p in samples.items()}
    for axis, points in results.items():
        for point, one in points.items():
            assert one["samples_per_s"] * one["seconds"] == pytest.approx(samples[axis][point], rel=2e-2)
            assert one["threads_each"] == 1 and one["exchange_share"] > 0


def test_the_memory_of_a_point() -> None:
    """A step holds at least the gradients of its 5 M parameters."""
    added = scaling.point_memory("size", "tiny", Build(machine.Setting("cpu", "float32", 1)))
    assert added is None or added > 4 * 3e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "cuda"], "sees no GPU"),
        (["--repeats", "0"], "at least 1"),
        (["--dtype", "bfloat16", "--only", "embed_text_int8"], "run on the CPU in float32 only"),
        (["--only", "vl256_4b"], "run on a GPU only"),
    ],
)
def test_wrong_options(options, message, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["steps", "--threads", "1", *options])
    with pytest.raises(SystemExit, match=message):
        steps.main()
