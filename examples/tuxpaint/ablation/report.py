"""Compares the variants: ``python -m one_peace.examples.tuxpaint.ablation.report OUT``.

Recall at the end of training, mean and sample deviation over seeds, beside the operations that training took: those of
one update are counted on a batch, with the model, criterion and batch size that the checkpoint names.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq import checkpoint_utils
from fairseq.utils import import_user_module
from tqdm import tqdm

from one_peace.benchmarks.machine import flops
from one_peace.examples.tuxpaint import ablation

CHECKPOINT = "checkpoints/checkpoint_last.pt"
SPLITS = ("valid", "held_out")
METRICS = ("txt_r1", "img_r1", "txt_r10", "img_r10")


@dataclass
class Run:
    """What one training gave: ``recall[split][metric]`` in percent."""

    seed: int
    updates: int
    recall: dict[str, dict[str, float]]


def read_runs(out: Path) -> dict[str, list[Run]]:
    """Those that have ended, by variant."""
    runs: dict[str, list[Run]] = {}
    for done in sorted(out.glob("runs/*/done")):
        variant, _, seed = done.parent.name.rpartition("-")
        results = {s: json.loads((done.parent / f"results/{s}_metrics.json").read_text("utf-8")) for s in SPLITS}
        state = checkpoint_utils.load_checkpoint_to_cpu(str(done.parent / CHECKPOINT))
        updates = state["optimizer_history"][-1]["num_updates"]
        runs.setdefault(variant, []).append(Run(int(seed), updates, results))
    return runs


def flops_of_update(run: Path) -> int:
    """Counted on the first batch: forward and backward."""
    (model,), cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(run / CHECKPOINT)])
    criterion = task.build_criterion(cfg.criterion)
    task.load_dataset("train")
    dataset = task.dataset("train")
    batch = dataset.collater([dataset[i] for i in range(min(len(dataset), cfg.dataset.batch_size))])
    model.train()
    return flops(lambda: criterion(model, batch)[0].backward())


def table(out: Path) -> str:
    """Markdown."""
    runs = read_runs(out)
    if not runs:
        raise ValueError(f"no finished run in {out / 'runs'}: run train.sh first")
    heads = [f"{split} {metric}" for split in SPLITS for metric in METRICS]
    lines = [f"| variant | seeds | updates | TFLOP | {' | '.join(heads)} |", f"|---|---:{'|---:' * (2 + len(heads))}|"]
    for variant, own in tqdm(runs.items(), desc="counting operations", unit="variant"):
        operations = own[0].updates * flops_of_update(out / f"runs/{variant}-{own[0].seed}") / 1e12
        cells = [spread([run.recall[split][metric] for run in own]) for split in SPLITS for metric in METRICS]
        lines.append(f"| {variant} | {len(own)} | {own[0].updates} | {operations:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Mean ± sample deviation."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.tuxpaint.ablation.report", description="Compare the variants."
    )
    parser.add_argument("out", type=Path, help="folder of train.sh")
    args = parser.parse_args(argv)
    import_user_module(argparse.Namespace(user_dir=str(Path(ablation.__file__).parent)))
    try:
        print(table(args.out))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
