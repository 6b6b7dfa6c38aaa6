"""What commands over a checkpoint and a manifest share: flags, cells, embeddings. A row is views of one thing."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from one_peace.data.manifest import Manifest
from one_peace.examples.takes import add_takes_flag, embed_takes

Embed = Callable[[str, list[str]], torch.Tensor]
"""(modality, values) -> float[N, D] of unit norm; a value is a text or the path of a file."""


def add_view_flags(parser: argparse.ArgumentParser) -> None:
    """Adds what names a checkpoint and views."""
    parser.add_argument("checkpoint", type=Path, help="a checkpoint written by fairseq-train or one_peace.models.merge")
    parser.add_argument(
        "manifest", type=Path, help="TSV with a header; one row = views of one thing, some may be empty"
    )
    parser.add_argument("--columns", nargs="+", required=True, metavar="MODALITY=COLUMN", help="e.g. text=caption")
    parser.add_argument("--user-dir", help="a module with modalities of your own, as for fairseq-train")
    parser.add_argument("--batch-size", type=int, default=64, help="items embedded at once (default 64)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    add_takes_flag(parser, default=0)
    parser.add_argument("--int8", action="store_true", help="int8 weights, on the CPU: what do they cost?")


def parse_view_flags(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; ``columns`` as a dict, modality -> column."""
    args = parser.parse_args(argv)
    if bad := [column for column in args.columns if not all(column.partition("="))]:
        parser.error(f"--columns takes MODALITY=COLUMN, got {bad[0]!r}")
    args.columns = dict(column.split("=", 1) for column in args.columns)
    return args


@contextmanager
def errors_told() -> Iterator[None]:
    """Of what a user can mend, such as a missing file, the command tells the message alone as it ends."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None


def load_embed(args: argparse.Namespace) -> Embed:
    """The checkpoint's model, as a function; sounds as ``--takes`` says."""
    from one_peace.models import from_pretrained  # loads fairseq, quietly: not needed for --help

    from fairseq.utils import import_user_module  # isort: skip

    import_user_module(args)
    model = from_pretrained(args.checkpoint, device=args.device, int8=args.int8)

    def embed_as_is(modality: str, values: list[str]) -> torch.Tensor:
        return model.embed(modality, values, batch_size=args.batch_size, progress=True)

    def embed(modality: str, values: list[str]) -> torch.Tensor:
        return embed_takes(embed_as_is, values, args.takes) if modality == "audio" else embed_as_is(modality, values)

    return embed


def read_columns(manifest: Path, columns: Sequence[str]) -> list[list[str]]:
    """The cells of each of ``columns``."""
    table = Manifest(manifest, columns)
    return [list(column) for column in zip(*(table[row] for row in range(len(table))), strict=True)]


def read_cells(manifest: Path, columns: Mapping[str, str], files: Sequence[str]) -> dict[str, list[str]]:
    """Reads a manifest's columns, modality -> cells; cells of the modalities in `files` become paths.

    Relative paths are taken from the manifest's folder.
    """
    cells = dict(zip(columns, read_columns(manifest, list(columns.values())), strict=True))
    for modality in files:
        cells[modality] = [str(manifest.parent / cell) if cell else "" for cell in cells[modality]]
    return cells


def read_views(args: argparse.Namespace) -> dict[str, list[str]]:
    """The cells that the command line names, texts as they are, all others as paths."""
    return read_cells(args.manifest, args.columns, [modality for modality in args.columns if modality != "text"])
