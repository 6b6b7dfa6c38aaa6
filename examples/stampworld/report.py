"""Results beside guessing: ``python -m one_peace.examples.stampworld.report OUT``, after train.sh and evaluate.sh.

Prints a table: the best guess (of `chance`, one that knows the question where there is one), what training from scratch
gives (SCRATCH=1), and what fine-tuning gives. What has not been evaluated stays empty.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from one_peace.examples.stampworld.score_vqa import score

# benchmark and split of `chance` -> the run, and how evaluate.sh calls the split
RUNS = {
    ("audiocaps", "test"): ("audiocaps_clotho_retrieval", "audiocaps_test"),
    ("clotho", "evaluation"): ("audiocaps_clotho_retrieval", "clotho_test"),
    ("nlvr2", "test1"): ("nlvr2", "test"),
    ("fsd50k", "eval"): ("fsd50k", "test"),
}
VALID = ("val", "dev")
# not evaluated: while training they pick the checkpoint
LEFT_OUT = {("audiocaps", "val"), ("clotho", "validation")}
RECALLS = ("R@1", "R@10")


@dataclass(frozen=True)
class Line:
    """One metric of a split, in percent; None: not evaluated."""

    benchmark: str
    split: str
    metric: str
    guess: float
    scratch: float | None
    tuned: float | None


def lines(out: Path) -> Iterator[Line]:
    """All metrics that `chance` has a guess for."""
    chance = json.loads((out / "data/chance.json").read_text(encoding="utf-8"))
    for benchmark, splits in chance.items():
        for split, guesses in splits.items():
            if (benchmark, split) in LEFT_OUT:
                continue
            best: dict[str, float] = {}
            for name, value in guesses.items():
                metric = name.split(",")[0]  # "accuracy, knowing the question"
                if "R@" not in metric or metric.endswith(RECALLS):
                    best[metric] = max(value, best.get(metric, 0))
            run, file = RUNS.get((benchmark, split), (benchmark, "valid" if split in VALID else split))
            scratch, tuned = (_metrics(out, folder, run, file) for folder in ("scratch", "checkpoints"))
            for metric, guess in best.items():
                yield Line(benchmark, split, metric, guess, scratch.get(metric), tuned.get(metric))


def _metrics(out: Path, folder: str, run: str, split: str) -> dict[str, float]:
    """A split's metrics by the names of `chance`; nothing where there are none."""
    results = out / folder / run / "results"
    found = sorted(results.glob(f"**/{split}_metrics.json"))  # ImageNet's lie in a folder for each size
    if not found:
        return {}
    if (run, split) == ("vqa", "test"):  # whose answers are a secret of the server
        truth = json.loads((out / "data/vqa/v2_mscoco_test2015_annotations.json").read_text(encoding="utf-8"))
        submission = json.loads((results / "test_vqa.json").read_text(encoding="utf-8"))
        return {"vqa_score": score(submission, truth["annotations"])["overall"]}
    metrics = json.loads(found[0].read_text(encoding="utf-8"))
    return {_long(name): value for name, value in metrics.items()}


def _long(name: str) -> str:
    """txt_r1 -> media -> text R@1: what is found is the text."""
    item, _, recall = name.rpartition("_r")
    if not recall.isdigit():
        return name
    return f"{'media -> text' if item == 'txt' else 'text -> media'} R@{recall}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.stampworld.report", description="Print results beside guessing."
    )
    parser.add_argument("out", type=Path, help="the folder of prepare.sh, train.sh and evaluate.sh")
    args = parser.parse_args(argv)
    if not (args.out / "data/chance.json").is_file():
        print(f"error: no {args.out / 'data/chance.json'}: run prepare.sh first", file=sys.stderr)
        return 1
    print("| benchmark | split | metric | guessing | from scratch | pretrained |\n|---|---|---|---:|---:|---:|")
    for line in lines(args.out):
        values = ("" if value is None else f"{value:.1f}" for value in (line.guess, line.scratch, line.tuned))
        print(f"| {line.benchmark} | {line.split} | {line.metric} | {' | '.join(values)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
