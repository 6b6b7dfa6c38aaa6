"""Measures retrieval between modalities and shows it: a table of recall beside chance, and a picture of some results.

    python -m one_peace.examples.retrieval_report one_peace.pt test.tsv --out report \\
        --columns text=caption image=image audio=audio \\
        --directions text:image image:text text:audio audio:text --emergent audio:image

writes report/report.md and report/report.png. Rows of the manifest whose cells are equal show the same item (the same
caption string, the same file): each item is embedded once, and any of its partners is a right answer. A query counts as
found within k only if fewer than k wrong items score as high as its best right one, so a tie counts against the model.
"""

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from one_peace.data.manifest import Manifest
from one_peace.examples.result_picture import Example, draw_examples
from one_peace.metrics.recall import KS, chance_recall, retrieval_recall

Embed = Callable[[str, list[str]], torch.Tensor]
"""(modality, values) -> float[N, D] of unit norm; a value is a text or the path of a file."""


@dataclass(frozen=True)
class Direction:
    """Search by `query` among `key`; `emergent` marks modalities that were never paired in training."""

    query: str
    key: str
    emergent: bool = False

    def __str__(self) -> str:
        return f"{self.query} -> {self.key}"


@dataclass(frozen=True)
class Items:
    """The distinct cells of one column: `values`[item], and `row_item`[row] = the item that a row shows."""

    values: list[str]
    row_item: list[int]


@dataclass(frozen=True)
class Result:
    """Recall at each k of `KS` in percent, beside what a random ranking would reach."""

    direction: Direction
    queries: int
    keys: int
    recall: dict[int, float]
    chance: dict[int, float]


def collect_items(cells: Sequence[str]) -> Items:
    """Gives equal cells one number, in order of appearance."""
    numbers: dict[str, int] = {}
    row_item = [numbers.setdefault(cell, len(numbers)) for cell in cells]
    return Items(list(numbers), row_item)


def true_pairs(query: Items, key: Items) -> torch.Tensor:
    """Pairs of items that share a row: int64[P, 2] of (query item, key item), each pair once."""
    return torch.tensor(sorted(set(zip(query.row_item, key.row_item, strict=True))), dtype=torch.long)


def measure(features: Mapping[str, torch.Tensor], items: Mapping[str, Items], direction: Direction) -> Result:
    """Recall of one direction; `features`[modality] is float[items of it, D]."""
    query, key = direction.query, direction.key
    pairs = true_pairs(items[query], items[key])
    recall = retrieval_recall(features[query], features[key], pairs, KS)
    keys = len(items[key].values)
    return Result(direction, len(items[query].values), keys, recall, chance_recall(pairs, keys, KS))


def format_table(results: Sequence[Result]) -> str:
    """A markdown table that also reads well in a terminal: one line a direction, chance in brackets."""
    header = ["direction", "queries", "keys", *(f"R@{k} (chance)" for k in KS)]
    lines = [header]
    for result in results:
        name = f"{result.direction}{' (emergent)' if result.direction.emergent else ''}"
        cells = [f"{result.recall[k]:.1f} ({result.chance[k]:.1f})" for k in KS]
        lines.append([name, str(result.queries), str(result.keys), *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    aligned = [
        "| "
        + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    rows = [row + " |" for row in aligned]
    return "\n".join([rows[0], rule + "|", *rows[1:]])


def pick_examples(
    features: Mapping[str, torch.Tensor], items: Mapping[str, Items], direction: Direction, queries: int, top: int
) -> list[Example]:
    """The first `top` results of `queries` random queries (a fixed draw: not chosen for their looks)."""
    query, key = direction.query, direction.key
    pairs = {tuple(pair) for pair in true_pairs(items[query], items[key]).tolist()}
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randperm(len(items[query].values), generator=generator)[:queries].tolist()
    similarity_QK = features[query][drawn] @ features[key].T
    best_QT = similarity_QK.topk(min(top, similarity_QK.shape[1]), dim=1).indices.tolist()
    return [
        Example(
            title=str(direction) + (" (emergent)" if direction.emergent else ""),
            query=(query, items[query].values[q]),
            results=[(key, items[key].values[k], (q, k) in pairs) for k in best],
        )
        for q, best in zip(drawn, best_QT, strict=True)
    ]


def report(
    embed: Embed,
    cells: Mapping[str, Sequence[str]],
    directions: Sequence[Direction],
    out: Path,
    queries: int = 2,
    top: int = 5,
    title: str = "Retrieval",
) -> list[Result]:
    """Embeds every item, prints the table, writes it to out/report.md and the picture to out/report.png.

    Args:
        embed: turns values of a modality into features.
        cells: modality -> its cell in each row, all of one length; files as paths that can be opened from here.
        directions: what to measure, in the table's order.
        queries: queries shown a direction.
        top: results shown a query.
    """
    items = {modality: collect_items(column) for modality, column in cells.items()}
    features = {modality: embed(modality, one.values).float().cpu() for modality, one in items.items()}
    results = [measure(features, items, direction) for direction in directions]
    table = format_table(results)
    out.mkdir(parents=True, exist_ok=True)
    note = (
        "\nEmergent: the two modalities were never paired in training.\n" if any(d.emergent for d in directions) else ""
    )
    (out / "report.md").write_text(f"# {title}\n\nRecall in percent (chance).\n\n{table}\n{note}", encoding="utf-8")
    examples = [x for direction in directions for x in pick_examples(features, items, direction, queries, top)]
    draw_examples(examples, out / "report.png", title)
    print(table)
    return results


def read_cells(manifest: Path, columns: Mapping[str, str], files: Sequence[str]) -> dict[str, list[str]]:
    """Reads a manifest's columns, modality -> cells; cells of the modalities in `files` become paths.

    Relative paths are taken from the manifest's folder.
    """
    table = Manifest(manifest, list(columns.values()))
    cells = zip(*(table[row] for row in range(len(table))), strict=True)
    return {
        modality: [str(manifest.parent / cell) for cell in column] if modality in files else list(column)
        for modality, column in zip(columns, cells, strict=True)
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.retrieval_report",
        description="Measure retrieval between the modalities of a checkpoint; write a table and a picture.",
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint written by fairseq-train or one_peace.models.merge")
    parser.add_argument("manifest", type=Path, help="TSV with a header; one row = views of one thing")
    parser.add_argument("--columns", nargs="+", required=True, metavar="MODALITY=COLUMN", help="e.g. text=caption")
    parser.add_argument("--directions", nargs="+", default=[], metavar="QUERY:KEY", help="e.g. text:image image:text")
    parser.add_argument(
        "--emergent", nargs="+", default=[], metavar="QUERY:KEY", help="directions never paired in training: marked so"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md and report.png")
    parser.add_argument("--title", default="Retrieval", help="heading of the table and the picture")
    parser.add_argument("--queries", type=int, default=2, help="queries shown a direction (default 2)")
    parser.add_argument("--top", type=int, default=5, help="results shown a query (default 5)")
    parser.add_argument("--batch-size", type=int, default=64, help="items embedded at once (default 64)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--int8", action="store_true", help="int8 weights, on the CPU: what do they cost?")
    return parser


def _read_directions(args: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Direction]:
    directions = []
    for text, emergent in [*((d, False) for d in args.directions), *((d, True) for d in args.emergent)]:
        query, _, key = text.partition(":")
        for modality in (query, key):
            if modality not in args.columns:
                parser.error(f"direction {text!r}: no column is named for {modality!r} (--columns {modality}=COLUMN)")
        directions.append(Direction(query, key, emergent))
    if not directions:
        parser.error("nothing to measure: give --directions or --emergent, e.g. --directions text:image image:text")
    return directions


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = _parser()
    args = parser.parse_args(argv)
    if bad := [column for column in args.columns if not all(column.partition("="))]:
        parser.error(f"--columns takes MODALITY=COLUMN, got {bad[0]!r}")
    args.columns = dict(column.split("=", 1) for column in args.columns)
    directions = _read_directions(args, parser)

    logging.basicConfig(level=logging.WARNING)  # before fairseq, which would turn every library's debug lines on
    from one_peace.models import from_pretrained  # loads fairseq: not needed for --help

    model = from_pretrained(args.checkpoint, device=args.device, int8=args.int8)
    files = [modality for modality in args.columns if modality != "text"]
    cells = read_cells(args.manifest, args.columns, files)

    def embed(modality: str, values: list[str]) -> torch.Tensor:
        return model.embed(modality, values, batch_size=args.batch_size, progress=True)

    report(embed, cells, directions, args.out, args.queries, args.top, args.title)
    print(f"written to {args.out}/report.md and {args.out}/report.png")


if __name__ == "__main__":
    main()
