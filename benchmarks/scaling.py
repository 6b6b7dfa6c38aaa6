"""How speed and memory grow, one axis at a time: ``python -m one_peace.benchmarks.scaling [--axes batch ranks]``.

Batch size, length of the input (side of the picture, seconds of the sound), number of processes, size of the model;
everything else stays as in the works of `steps`.
"""

import argparse
import functools
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from fairseq.distributed import LegacyDistributedDataParallel
from tqdm import tqdm

from one_peace.benchmarks import machine, works
from one_peace.benchmarks.works import Build, Work
from one_peace.criterions.aligning import gather_pairs

Points = tuple[Any, ...]
Make = Callable[[Build, Any], Work]


def with_size(how: Build, size: str) -> Work:
    return works.stage1(replace(how, size=size), 8, 128)


# axis -> what the table calls a point, the points, those of --quick, and the work of a point
AXES: dict[str, tuple[str, Points, Points, Make]] = {
    "batch": ("pairs, 128 px", (1, 4, 16, 64), (1, 2), lambda how, n: works.stage1(how, n, 128)),
    "image": ("pixels, 4 pairs", (64, 128, 256, 384), (32, 64), lambda how, side: works.stage1(how, 4, side)),
    "audio": ("seconds, 2 pairs", (1, 2, 5, 10), (1,), lambda how, length: works.stage2(how, 2, length)),
    "contrast": ("pairs, no model", (1024, 4096, 16384), (64,), works.contrast),
    "size": ("model, 8 pairs, 128 px", ("tiny", "small", "base"), ("tiny",), with_size),
}


def point_memory(axis: str, point: Any, how: Build) -> int | None:
    """Bytes that the first run of a point's work adds."""
    how.setting.apply()
    return machine.added_memory(AXES[axis][3](how, point).run, how.setting.device)


def measure(axis: str, point: Any, how: Build, quick: bool, repeats: int) -> dict[str, Any]:
    """Speed, FLOPs and memory of one point; ``quick`` leaves out memory, which takes another process on a CPU."""
    how.setting.apply()
    work = AXES[axis][3](how, point)
    cuda = torch.device(how.setting.device).type == "cuda"
    added = machine.added_memory(work.run, how.setting.device) if cuda else None
    count = machine.flops(work.run)
    (times,) = machine.alternate([machine.timer(work.run, how.setting.device)], repeats)
    samples = work.samples
    del work
    if not cuda and not quick:
        added = machine.in_fresh_process(point_memory, axis, point, how)
    speed = machine.spread(times, samples)
    return {
        **speed,
        "gflop_per_sample": round(count / samples / 1e9, 2),
        "gflop_per_s": round(count / speed["seconds"] / 1e9, 1),
        "added_mib": None if added is None else round(added / machine.MIB, 1),
    }


def step_of_rank(how: Build, world: int, quick: bool) -> tuple[Work, Callable[[], object]]:
    """A stage-1 step on this process' own batch, its gradients summed over processes; and that sum alone."""
    work = works.stage1(replace(how, size="tiny"), 2, 64) if quick else works.stage1(how, 8, 128)
    compute, exchange = work.run, LegacyDistributedDataParallel(work.model, dist.group.WORLD).all_reduce_grads

    def run() -> None:
        compute()
        exchange()

    return replace(work, run=run), exchange


def contrast_of_rank(how: Build, world: int, quick: bool) -> tuple[Work, Callable[[], object]]:
    """The aligning contrast over keys of all processes, each multiplies as much; and the gathering alone."""
    work = works.contrast(how, round((64 if quick else 2896) / math.sqrt(world)))
    pairs = work.model
    return work, functools.partial(gather_pairs, pairs.a_BD, pairs.b_BD, with_grad=False)


# axis -> what the table calls a point, and what one process does: everything, and the exchange of it alone
RANKS = {"ranks": ("processes", step_of_rank), "contrast_ranks": ("processes, no model", contrast_of_rank)}


def rank_main(rank: int, world: int, folder: str, axis: str, how: Build, quick: bool, repeats: int) -> None:
    """One of several processes; rank 0 leaves the times in ``folder``."""
    how.setting.apply()
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    work, exchange = RANKS[axis][1](how, world, quick)
    times = []
    for _ in range(repeats + 1):
        dist.barrier()
        total = machine.seconds(work.run, "cpu")
        dist.barrier()
        times.append((total, machine.seconds(exchange, "cpu")))
    if rank == 0:
        torch.save({"samples": work.samples, "times": times[1:]}, Path(folder) / "times.pt")
    dist.destroy_process_group()


def measure_ranks(axis: str, world: int, how: Build, quick: bool, repeats: int) -> dict[str, Any]:
    """Speed of ``world`` CPU processes that share the threads and talk over gloo; no update."""
    own = machine.Setting("cpu", how.setting.dtype, max(1, how.setting.threads // world))
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(rank_main, (world, folder, axis, Build(own, how.reference), quick, repeats), nprocs=world)
        saved = torch.load(Path(folder) / "times.pt", weights_only=True)
    times = saved["times"]
    return {
        **machine.spread([total for total, _ in times], saved["samples"] * world),
        "threads_each": own.threads,
        "exchange_share": round(statistics.median(exchanged / total for total, exchanged in times), 3),
        "seconds_without_exchange": round(statistics.median(total - exchanged for total, exchanged in times), 5),
    }


def rows(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, object]]:
    """The table: one line a point."""
    heads = {
        "samples/s": "samples_per_s",
        "seconds": "seconds",
        "GFLOP each": "gflop_per_sample",
        "GFLOP/s": "gflop_per_s",
        "added MiB": "added_mib",
        "exchange share": "exchange_share",
        "seconds without": "seconds_without_exchange",
    }
    return [
        {"axis": axis, "unit": unit_of(axis), "point": point, **{head: one.get(key) for head, key in heads.items()}}
        for axis, points in results.items()
        for point, one in points.items()
    ]


def unit_of(axis: str) -> str:
    return (RANKS if axis in RANKS else AXES)[axis][0]


def points_of(axis: str, quick: bool) -> Points:
    if axis in RANKS:
        return (1, 2) if quick else (1, 2, 4)
    return AXES[axis][2 if quick else 1]


def parse() -> argparse.Namespace:
    parser = machine.parser(__doc__)
    parser.add_argument("--axes", nargs="+", choices=(*AXES, *RANKS), help="default: all; ranks on the CPU only")
    parser.add_argument("--reference", action="store_true", help="measure the naive path of the model")
    parser.add_argument("--optimizer", action="store_true", help="steps include the update of the weights")
    parser.add_argument(
        "--quick", action="store_true", help="one or two small points an axis, no CPU memory: does it run?"
    )
    return parser.parse_args()


def main() -> None:
    args = parse()
    setting = machine.setting_of(args)
    cpu = torch.device(args.device).type == "cpu"
    if not cpu and RANKS.keys() & set(args.axes or ()):
        raise SystemExit(f"the axes {' and '.join(RANKS)} run CPU processes: leave --device out")
    axes = args.axes or [*AXES, *(RANKS if cpu else ())]
    how, results = Build(setting, args.reference, args.optimizer), {}
    with machine.described(setting) as described:
        for axis in axes:
            results[axis] = {}
            for point in tqdm(points_of(axis, args.quick), desc=axis, unit="point"):
                if axis in RANKS:
                    one = measure_ranks(axis, point, how, args.quick, args.repeats)
                else:
                    one = measure(axis, point, how, args.quick, args.repeats)
                results[axis][str(point)] = one
    machine.report(args, described, results, rows(results))


if __name__ == "__main__":
    main()
