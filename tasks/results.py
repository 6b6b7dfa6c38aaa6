"""Files that tell what an evaluation found."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class Results:
    """The files of one split in a results folder: ``{split}_{name}``, each complete or as it was before."""

    def __init__(self, folder: Path, split: str):
        self.folder, self.split = folder, split

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.split}_{name}"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)

    def write_metrics(self, metrics: Mapping[str, float]) -> None:
        """``{split}_metrics.json``; null for what cannot be known."""
        known = {name: None if math.isnan(value) else value for name, value in metrics.items()}
        self.write("metrics.json", json.dumps(known, indent=1) + "\n")

    def write_predictions(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """``{split}_predictions.tsv``: a header, and one line a row."""
        lines = [columns, *rows]
        self.write("predictions.tsv", "".join("\t".join(map(str, line)) + "\n" for line in lines))
