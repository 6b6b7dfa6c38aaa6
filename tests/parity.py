"""``python -m tests.parity DIR``: this code against numbers recorded from the original release, one line a case.

DIR holds one folder a case (pretrain_vl, pretrain_al, extra_flags_*, retrieval, processing, ...). Exit status 1 when a
case is over its tolerance, 2 when DIR holds none.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from . import (
    parity_classify,
    parity_maths,
    parity_metrics,
    parity_optim,
    parity_pretrain,
    parity_processing,
    parity_retrieval,
    parity_tools,
    parity_upgrade,
)


def cases(folder: Path) -> Iterator[tuple[str, float, float]]:
    """(name, worst error, tolerance) of every case found in ``folder``."""
    themes = [parity_pretrain, parity_retrieval, parity_classify, parity_upgrade]
    on_cpu = torch.get_default_device().type == "cpu"  # what belongs to no device is compared there only
    if on_cpu:
        themes += [parity_maths, parity_metrics, parity_optim]
    for theme in themes:
        yield from theme.cases(folder)
    if on_cpu and (folder / "processing").is_dir():
        for name, error, tolerance in parity_processing.cases(folder / "processing"):
            yield f"processing: {name}", error, tolerance


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with one sub-folder a case")
    parser.add_argument("--reference", action="store_true", help="the models' naive path instead of the fast one")
    parser.add_argument("--device", default="cpu", help="of models and losses, such as cuda (default cpu)")
    args = parser.parse_args()
    torch.set_default_device(args.device)
    torch.backends.cudnn.allow_tf32 = False
    folder, parity_tools.MODEL_OPTIONS["reference"] = args.folder, args.reference
    torch.set_num_threads(1)
    total = failed = 0
    for name, error, tolerance in cases(folder):
        ok = error <= tolerance
        total, failed = total + 1, failed + (not ok)
        print(f"{'ok  ' if ok else 'FAIL'} {name:<62} worst {error:9.3g}  tolerance {tolerance:g}", flush=True)
    print(f"{total - failed} of {total} cases within tolerance")
    if not total:
        print(f"no case found in {folder}", file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
