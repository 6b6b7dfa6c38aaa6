"""Draws learning curves of one or several runs: ``python -m one_peace.examples.plots.curves LOG ... --out curves.png``.

A LOG is what fairseq-train or fairseq-hydra-train printed, or the hydra_train.log it wrote, as simple text or as json.
``NAME=LOG`` names the run in the legend. By default the training loss and, of each validated set, the mean recall:

    python -m one_peace.examples.plots.curves outputs/tuxpaint/train.log --out curves.png
    python -m one_peace.examples.plots.curves small=a.log large=b.log --out curves.png \\
        --metrics train_inner:itc_loss valid:txt_r1 valid:img_r1

One panel a name of a metric; the sets that were validated and the runs are lines in it.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display needed
import matplotlib.pyplot as plt

TRAIN = "train_inner"
UPDATES = "num_updates"
DEFAULT = (f"{TRAIN}:loss", "*:r_mean", "*:accuracy", "*:loss")
# "... | INFO | valid | epoch ..." on the terminal, "[...][valid][INFO] - epoch ..." in hydra's file
_LINE = re.compile(
    r'(?:\| INFO \| (?P<shown>[\w.-]+) \| |\[(?P<filed>[\w.-]+)\]\[INFO\] - )(?P<values>epoch \d+.*|\{".*\})$'
)
_PAIR = re.compile(r"(?P<name>[A-Za-z_][\w/-]*)[= ](?P<value>-?\d[\d.]*(?:e[+-]?\d+)?|nan|inf)(?=[,| ]|$)")


@dataclass
class Curve:
    """One metric of one set over a run."""

    updates: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def read_log(lines: Iterable[str]) -> dict[tuple[str, str], Curve]:
    """(set, metric) -> curve. Sets: ``train_inner`` (every so many updates), ``train`` (each epoch), those validated.

    Where a run was resumed from an earlier update, what came after that update goes.
    """
    curves: dict[tuple[str, str], Curve] = {}
    for name, values in _records(lines):
        update = int(values.pop(UPDATES))
        for metric, value in values.items():
            curve = curves.setdefault((name, metric), Curve())
            while curve.updates and curve.updates[-1] >= update:
                curve.updates.pop()
                curve.values.pop()
            curve.updates.append(update)
            curve.values.append(value)
    return curves


def _records(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """(set, metric -> value) of each line that counts updates."""
    for line in lines:
        if not (found := _LINE.search(line.rstrip())):
            continue
        name, text = found["shown"] or found["filed"], found["values"]
        if text.startswith("{"):
            # the json format puts the set's name before that of a metric
            record = {key.removeprefix(f"{name}_"): value for key, value in json.loads(text).items()}
            values = {key: number for key, value in record.items() if (number := _number(value)) is not None}
        else:
            values = {pair["name"]: float(pair["value"]) for pair in _PAIR.finditer(text)}
        if UPDATES in values:
            yield name, values


def _number(value: object) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def choose(curves: dict[tuple[str, str], Curve], wanted: Sequence[str]) -> dict[tuple[str, str], Curve]:
    """The curves named ``set:metric``; ``*`` stands for every set that was validated."""
    chosen = {}
    for text in wanted:
        name, _, metric = text.rpartition(":")
        for key, curve in curves.items():
            if key[1] == metric and (key[0] == name or (name == "*" and not key[0].startswith("train"))):
                chosen[key] = curve
    return chosen


def draw_curves(runs: dict[str, dict[tuple[str, str], Curve]], path: Path, title: str = "") -> None:
    """Writes one picture: a panel a metric, a line a run and set.

    Args:
        runs: name -> (set, metric) -> curve.
        path: the PNG (or another format that matplotlib knows by its ending).
    """
    panels = list(dict.fromkeys((key[1], key[0] == TRAIN) for curves in runs.values() for key in curves))
    figure, grid = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.2), squeeze=False)
    for axes, (metric, training) in zip(grid[0], panels, strict=True):
        for run, curves in runs.items():
            for (name, own), curve in curves.items():
                if own == metric and (name == TRAIN) == training:
                    label = " ".join(part for part in (run if len(runs) > 1 else "", "" if training else name) if part)
                    axes.plot(curve.updates, curve.values, marker="" if training else ".", label=label or None)
        axes.set_title(f"{metric}, training" if training else metric, fontsize=9)
        axes.set_xlabel("updates", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7)
    if title:
        figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=96)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.plots.curves", description="Draw learning curves from logs of fairseq."
    )
    parser.add_argument("logs", nargs="+", metavar="[NAME=]LOG", help="a log; NAME is its run's in the legend")
    parser.add_argument("--out", type=Path, required=True, help="the picture, such as curves.png")
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=DEFAULT,
        metavar="SET:METRIC",
        help="e.g. train_inner:loss valid:txt_r1 *:r_mean",
    )
    parser.add_argument("--title", default="", help="heading")
    args = parser.parse_args(argv)
    runs = {}
    for text in args.logs:
        name, _, path = text.rpartition("=")
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                known = read_log(file)
        except OSError as error:
            parser.error(f"cannot read {path}: {error.strerror}")
        if not (chosen := choose(known, args.metrics)):
            names = ", ".join(sorted(":".join(key) for key in known)) or "no line of a fairseq run"
            parser.error(f"{path} has none of {' '.join(args.metrics)}; there is: {names}")
        runs[name or str(Path(path).with_suffix(""))] = chosen
    draw_curves(runs, args.out, args.title)
    print(f"written to {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
