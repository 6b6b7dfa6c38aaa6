"""What every measurement shares: the machine, its matrix product, times, FLOPs, memory, tables.

Times are medians with their spread after runs that do not count. What a machine reaches changes from minute to minute,
so the machine's own matrix product is measured before and after, and works are compared by the ratios of one run only.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LEAST_SECONDS = 0.1  # a shorter run is repeated within one timing
PRODUCT_SIDE = {"cpu": 2048, "cuda": 8192}
MIB = 2**20
Result = TypeVar("Result")
Timer = Callable[[int], float]


@dataclass(frozen=True)
class Setting:
    """Where and in which precision everything of one command runs."""

    device: str
    dtype: str
    threads: int

    @property
    def torch_dtype(self) -> torch.dtype:
        return DTYPES[self.dtype]

    def apply(self) -> None:
        """Set this process up: threads and seed."""
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every command has."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--repeats", type=int, default=7, help="timings of each (default 7)")
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default cpu)")
    made.add_argument("--dtype", choices=DTYPES, default="float32", help="of weights and inputs (default float32)")
    made.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: all)")
    made.add_argument("--out", type=Path, help="write the numbers to this json file")
    made.add_argument("--json", action="store_true", help="print the numbers as json; the table goes to stderr")
    return made


def setting_of(args: argparse.Namespace) -> Setting:
    """The setting that the options of `parser` ask for, applied.

    Raises:
        SystemExit: there is no such device.
    """
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"--device {args.device}: this PyTorch sees no GPU; leave the option out to run on the CPU")
    if args.repeats < 1 or args.threads < 1:
        raise SystemExit("--repeats and --threads must be at least 1")
    setting = Setting(args.device, args.dtype, args.threads)
    setting.apply()
    return setting


def hardware(device: str) -> str:
    """Name of the GPU, or the processor's model."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def synchronize(device: str) -> None:
    """Wait for what the device still has to do."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: str) -> float:
    """How long one run takes."""
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start


def matrix_product(setting: Setting) -> float:
    """GFLOP/s of a square product in the setting's precision, the median of nine after one that does not count."""
    side = PRODUCT_SIDE[torch.device(setting.device).type]
    a = torch.randn(side, side, device=setting.device).to(setting.torch_dtype)
    times = [seconds(lambda: a @ a, setting.device) for _ in range(10)]
    return 2 * side**3 / statistics.median(times[1:]) / 1e9


@contextlib.contextmanager
def described(setting: Setting) -> Iterator[dict[str, object]]:
    """The machine's part of the results; the matrix product is measured on entry and on exit."""
    machine: dict[str, object] = {
        "hardware": hardware(setting.device),
        "torch": torch.__version__,
        "threads": setting.threads,
        "dtype": setting.dtype,
        "product_gflop_per_s": [round(matrix_product(setting), 1)],
    }
    yield machine
    machine["product_gflop_per_s"].append(round(matrix_product(setting), 1))


def timer(run: Callable[[], object], device: str) -> Timer:
    """What `alternate` takes: seconds of one run, of so many that are timed together."""
    return lambda runs: seconds(lambda: [run() for _ in range(runs)] and None, device) / runs


def alternate(timers: Sequence[Timer], repeats: int) -> list[list[float]]:
    """Seconds of a run of each, ``repeats`` times in turn (A B A B ...), so that a drift of the machine hits all alike.

    Short runs are timed several together, and two of each do not count.
    """
    inner = []
    for one in timers:
        one(1)
        inner.append(math.ceil(LEAST_SECONDS / max(one(1), 1e-6)))
    times: list[list[float]] = [[] for _ in timers]
    for _ in range(repeats):
        for own, one, runs in zip(times, timers, inner, strict=True):
            own.append(one(runs))
    return times


def flops(run: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention of one run."""
    with FlopCounterMode(display=False, custom_mapping=_uncounted()) as counter:
        run()
    return counter.get_total_flops()


def _uncounted() -> dict[object, Callable[..., int]]:
    """Formulas PyTorch's counter lacks: products in place, and the fused attention of CPUs."""
    aten = torch.ops.aten
    return {
        aten.addmm_: lambda y, a, b, *_, **__: 2 * a[0] * a[1] * b[1],
        aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
        aten._scaled_dot_product_flash_attention_for_cpu_backward: (
            lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
        ),
    }


def fresh_process() -> ProcessPoolExecutor:
    """A process that did nothing before."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def in_fresh_process(function: Callable[..., Result], *args: object) -> Result:
    """What ``function`` returns in a process that did nothing before."""
    with fresh_process() as pool:
        return pool.submit(function, *args).result()


def added_memory(run: Callable[[], object], device: str) -> int | None:
    """Most bytes in use during one run above those in use before it; None where the system does not say.

    On a CPU this is resident memory, which a process keeps for later use: ask for it in a fresh one, before any other
    run.
    """
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        with contextlib.suppress(OSError, AttributeError):  # glibc: give back what building the model left free
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except OSError:
        return None


def _status(field: str) -> int:
    """Bytes of a field of this process's status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def spread(times: Sequence[float], samples: int) -> dict[str, float]:
    """Samples a second: of the median, the slowest and the fastest timing."""
    middle = statistics.median(times)
    return {
        "seconds": round(middle, 5),
        "samples_per_s": significant(samples / middle),
        "slowest": significant(samples / max(times)),
        "fastest": significant(samples / min(times)),
    }


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> dict[str, float]:
    """How many times as fast ``ours`` are, timing by timing: the median, the least and the most."""
    each = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {
        "median": significant(statistics.median(each)),
        "least": significant(min(each)),
        "most": significant(max(each)),
    }


def significant(number: float, digits: int = 4) -> float:
    """``number`` rounded to so many significant digits."""
    return float(f"{number:.{digits}g}")


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of the same keys as plain text; None is a dash."""
    heads = list(rows[0])
    cells = [heads, *([("-" if row[h] is None else str(row[h])) for h in heads] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def report(args: argparse.Namespace, machine: Mapping[str, object], results: object, rows: Sequence[Mapping]) -> None:
    """The table for people, and the numbers as json where the options ask for it."""
    head = (
        f"{machine['hardware']}, torch {machine['torch']}, {machine['threads']} threads, {machine['dtype']}; matrix "
        f"product {' then '.join(str(p) for p in machine['product_gflop_per_s'])} GFLOP/s"
    )
    print(f"{head}\n\n{table(rows)}", file=sys.stderr if args.json else sys.stdout)
    text = json.dumps({"machine": machine, "results": results}, indent=1)
    if args.json:
        print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
