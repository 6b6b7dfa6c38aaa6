"""The command line that all modules share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from one_peace.data.errors import DataError


def make_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options of every module: --out and --missing."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write the manifests into")
    parser.add_argument(
        "--missing",
        choices=("error", "skip"),
        default="error",
        help="items whose picture or sound is missing or damaged: an error, or left out (default: %(default)s)",
    )
    return parser


def run(
    parser: argparse.ArgumentParser, prepare: Callable[[argparse.Namespace], None], argv: Sequence[str] | None
) -> int:
    """Parse ``argv`` and prepare; what is wrong with the data ends in one line on stderr. Returns the exit status."""
    options = parser.parse_args(argv)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        prepare(options)
        if not any(options.out.glob("*.tsv")):
            raise DataError("nothing was there to write", file=options.out, remedy="Check the folders of the media")
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def report(path: Path, rows: int, note: str = "") -> None:
    """One line on stdout about a file that was written."""
    print(f"{path}: {rows} rows{note}")
