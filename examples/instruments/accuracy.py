"""Accuracy of what sounds were called, in tables: ``python -m one_peace.examples.instruments.accuracy RESULTS``.

Reads the predictions that zero_shot_classify left in RESULTS/labels and RESULTS/families, prints the tables and writes
RESULTS/accuracy.md.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from one_peace.data.errors import DataError
from one_peace.data.manifest import Manifest
from one_peace.data.prepare.files import write_text
from one_peace.examples.instruments.general_midi import FAMILIES, instruments

SPLITS = {
    "valid": "the first font, notes never played",
    "dev": "a second font, to choose by",
    "test": "the other font",
}
Answers = list[tuple[str, str]]
"""(predicted, right) of each clip."""


@dataclass(frozen=True)
class Named:
    """What a split's clips were called: by the instruments' names, and by the families'."""

    instruments: Answers
    families: Answers

    @classmethod
    def read(cls, results: Path, split: str) -> "Named":
        """From the predictions below `results`."""
        return cls(*(_predictions(results / what / f"{split}_predictions.tsv") for what in ("labels", "families")))

    def by_instrument(self) -> Answers:
        """The families of the instruments that were predicted and that are right."""
        family = {instrument.name: FAMILIES[instrument.family] for instrument in instruments()}
        return [(family[predicted], family[right]) for predicted, right in self.instruments]


def accuracy(answers: Answers) -> float:
    """How many are right, in percent."""
    return 100 * sum(predicted == right for predicted, right in answers) / len(answers)


def splits_table(named: dict[str, Named]) -> str:
    """Markdown, a line a split, and what guessing gives."""
    few, many = len(FAMILIES), len(instruments())
    lines = [
        f"| sounds | clips | instrument of {many} | family of {few}, by the instrument | the same, by its name |",
        "|---|--:|--:|--:|--:|",
    ]
    for split, one in named.items():
        cells = [f"{accuracy(answers):.1f}" for answers in (one.instruments, one.by_instrument(), one.families)]
        lines.append(f"| {SPLITS[split]} | {len(one.instruments)} | {' | '.join(cells)} |")
    lines.append(f"| chance | | {100 / many:.1f} | {100 / few:.1f} | {100 / few:.1f} |")
    return "\n".join(lines)


def families_table(named: Named) -> str:
    """Markdown, a line a family."""
    lines = ["| family | clips | instrument | family, by the instrument |", "|---|--:|--:|--:|"]
    by_instrument = named.by_instrument()
    for family, phrase in FAMILIES.items():
        chosen = [clip for clip, (_, right) in enumerate(by_instrument) if right == phrase]
        if chosen:
            cells = [accuracy([answers[c] for c in chosen]) for answers in (named.instruments, by_instrument)]
            lines.append(f"| {family} | {len(chosen)} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return "\n".join(lines)


def _predictions(path: Path) -> Answers:
    table = Manifest(path, ("predicted", "label"))
    return [table[row] for row in range(len(table))]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.instruments.accuracy", description="Accuracy of what sounds were called."
    )
    parser.add_argument("results", type=Path, help="folder with the predictions, in labels/ and families/")
    args = parser.parse_args(argv)
    try:
        named = {split: Named.read(args.results, split) for split in SPLITS}
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    tables = f"{splits_table(named)}\n\nThe other font, family by family:\n\n{families_table(named['test'])}\n"
    write_text(args.results / "accuracy.md", f"# Instruments by their sound\n\nAccuracy in percent.\n\n{tables}")
    print(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
