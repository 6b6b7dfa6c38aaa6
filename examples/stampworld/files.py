"""Writing what the benchmarks are published as."""

import csv
import json
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

JPEG = {"quality": 95, "subsampling": 0}


def generator(seed: int, *name: object) -> np.random.Generator:
    """Random numbers for one item, the same whatever else is made."""
    return np.random.default_rng([seed, *"/".join(map(str, name)).encode()])


def fresh(path: Path) -> Path:
    """The path, with the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_json(path: Path, value: Any) -> None:
    """Compact JSON."""
    fresh(path).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON a line."""
    lines = (json.dumps(value, ensure_ascii=False) for value in values)
    fresh(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_yaml(path: Path, value: Any) -> None:
    """Block style, keys in their order."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C is ten times as fast
    with fresh(path).open("w", encoding="utf-8") as file:
        yaml.dump(value, file, dumper, sort_keys=False, allow_unicode=True)


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Comma separated, with the quotes that are needed."""
    with fresh(path).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_pickle(path: Path, value: Any) -> None:
    """Protocol 2, as Python 2 wrote it."""
    with fresh(path).open("wb") as file:
        pickle.dump(value, file, protocol=2)
