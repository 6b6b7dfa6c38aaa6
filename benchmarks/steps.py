"""Training steps and embedding passes per second: ``python -m one_peace.benchmarks.steps [--only vl128 embed_text]``.

Each piece of work (`works.WORKS`) is a stage-1, stage-2 or fine-tuning step (forward, criterion, backward) or an
embedding pass, at fixed sizes. With ``--path fast reference`` both paths of the model are timed in turn and compared.
"""

import argparse
import contextlib
import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import torch
from tqdm import tqdm

from one_peace.benchmarks import machine
from one_peace.benchmarks.works import CPU_ONLY, GPU_ONLY, WORKS, Build, Work

PATHS = ("fast", "reference")
_made: dict[str, Work] = {}  # the work of this process


def make(name: str, path: str, setting: machine.Setting, optimizer: bool) -> dict[str, Any]:
    """Make the named work in this process, on one path of the model, and count what it does and what it adds.

    Weights and inputs are always the same. Each path has a process of its own, because the fast one is set up
    (`works.set_up_process`).
    """
    setting.apply()
    work = _made["work"] = WORKS[name](Build(setting, path == "reference", optimizer))
    return {
        "added": machine.added_memory(work.run, setting.device),
        "flops": None if name in CPU_ONLY else machine.flops(work.run),  # PyTorch counts no int8 products
        "samples": work.samples,
        "parameters": sum(parameter.numel() for parameter in work.model.parameters()),
    }


def time_made(device: str, runs: int) -> float:
    """Seconds of one of so many runs of what this process made."""
    return machine.timer(_made["work"].run, device)(runs)


def time_in(process: Executor, device: str, runs: int) -> float:
    """`time_made` in another process."""
    return process.submit(time_made, device, runs).result()


def measure(
    name: str, paths: Sequence[str], setting: machine.Setting, optimizer: bool, repeats: int
) -> dict[str, dict[str, object]]:
    """Speed, FLOPs and memory of the work on each path; with two paths also ``ratio``, the first over the second."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(machine.fresh_process()) for _ in paths]
        made = [
            process.submit(make, name, path, setting, optimizer).result()
            for process, path in zip(processes, paths, strict=True)
        ]
        timers = [functools.partial(time_in, process, setting.device) for process in processes]
        times = machine.alternate(timers, repeats)
    result: dict[str, dict[str, object]] = {}
    for path, one, own in zip(paths, made, times, strict=True):
        speed, count, added = machine.spread(own, one["samples"]), one["flops"], one["added"]
        result[path] = {
            **speed,
            "gflop": count and round(count / 1e9, 2),
            "gflop_per_s": count and round(count / speed["seconds"] / 1e9, 1),
            "parameters": one["parameters"],
            "added_mib": None if added is None else round(added / machine.MIB, 1),
        }
    if len(paths) == 2:
        ours, theirs = made
        result["ratio"] = {"speed": machine.ratios(*times)}
        for key, shown in (("flops", "gflop"), ("added", "added_memory")):
            if ours[key] and theirs[key]:
                result["ratio"][shown] = machine.significant(ours[key] / theirs[key])
    return result


def rows(results: Mapping[str, Mapping], product: float) -> list[dict[str, object]]:
    """The table: one line a work and path, one for their ratio."""
    return [
        {"work": name, "path": path, **(ratio_cells(one) if path == "ratio" else cells(one, product))}
        for name, result in results.items()
        for path, one in result.items()
    ]


def cells(one: Mapping[str, Any], product: float) -> dict[str, object]:
    """A measurement's part of a line; ``product`` is what the matrix product reached, in GFLOP/s."""
    speed = one["gflop_per_s"]
    return {
        "samples/s": one["samples_per_s"],
        "slowest to fastest": f"{one['slowest']} to {one['fastest']}",
        "seconds": one["seconds"],
        "GFLOP": one["gflop"],
        "GFLOP/s": speed,
        "of product": speed and round(speed / product, 3),
        "added MiB": one["added_mib"],
    }


def ratio_cells(ratio: Mapping[str, Any]) -> dict[str, object]:
    """The line of a comparison, in the columns of `cells`."""
    speed, gflop, memory = ratio["speed"], ratio.get("gflop"), ratio.get("added_memory")
    return {
        "samples/s": f"{speed['median']}x",
        "slowest to fastest": f"{speed['least']}x to {speed['most']}x",
        "seconds": None,
        "GFLOP": gflop and f"{gflop}x",
        "GFLOP/s": None,
        "of product": None,
        "added MiB": memory and f"{memory}x",
    }


def parse() -> argparse.Namespace:
    parser = machine.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKS, help="works (default: all that the device can do)")
    parser.add_argument("--path", nargs="+", choices=PATHS, default=["fast"], help="two are compared (default fast)")
    parser.add_argument("--optimizer", action="store_true", help="training steps include the update of the weights")
    return parser.parse_args()


def main() -> None:
    args = parse()
    setting = machine.setting_of(args)
    cpu = torch.device(args.device).type == "cpu"
    able = [*([] if cpu else GPU_ONLY), *(CPU_ONLY if cpu and args.dtype == "float32" else [])]
    names = args.only or [name for name in WORKS if name in able or name not in (*CPU_ONLY, *GPU_ONLY)]
    for some, where in ((CPU_ONLY, "the CPU in float32"), (GPU_ONLY, "a GPU")):
        if set(names) & set(some) - set(able):
            raise SystemExit(f"{', '.join(some)} run on {where} only")
    results = {}
    with machine.described(setting) as described:
        for name in tqdm(names, unit="work"):
            results[name] = measure(name, args.path, setting, args.optimizer, args.repeats)
    products = described["product_gflop_per_s"]
    machine.report(args, described, results, rows(results, sum(products) / len(products)))


if __name__ == "__main__":
    main()
