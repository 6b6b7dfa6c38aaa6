"""Measures retrieval between modalities and shows it: a table of recall beside chance, and a picture of some results.

    python -m one_peace.examples.retrieval_report one_peace.pt test.tsv --out report \\
        --columns text=caption image=image audio=audio \\
        --directions text:image image:text text:audio audio:text --emergent audio:image

writes report/report.md and report/report.png. Rows of the manifest whose cells are equal show the same item (the same
caption string, the same file): each item is embedded once, and any of its partners is a right answer. A query counts as
found within k only if fewer than k wrong items score as high as its best right one, so a tie counts against the model.

A cell may be empty: rows with a picture only, say, are further pictures to search among. ``--groups language`` adds a
line for each value of that column, where only its rows are searched (and those without a value), and their mean.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from one_peace.examples.result_picture import Example, draw_examples
from one_peace.examples.retrieval import (
    MEAN,
    Direction,
    Items,
    Result,
    collect_items,
    format_table,
    measure_groups,
    true_pairs,
)
from one_peace.examples.views import (
    Embed,
    add_view_flags,
    errors_told,
    load_embed,
    parse_view_flags,
    read_columns,
    read_views,
)


def pick_examples(
    features: Mapping[str, torch.Tensor], items: Mapping[str, Items], direction: Direction, queries: int, top: int
) -> list[Example]:
    """The first `top` results of `queries` random queries (a fixed draw: not chosen for their looks)."""
    query, key = direction.query, direction.key
    pairs = true_pairs(items[query], items[key])
    right, paired = {tuple(pair) for pair in pairs.tolist()}, pairs[:, 0].unique()
    generator = torch.Generator().manual_seed(0)
    drawn = paired[torch.randperm(len(paired), generator=generator)[:queries]].tolist()
    similarity_QK = features[query][drawn] @ features[key].T
    best_QT = similarity_QK.topk(min(top, similarity_QK.shape[1]), dim=1).indices.tolist()
    show = {modality: items[modality].values for modality in (query, key)}
    notes = _texts_beside(items, query) | _texts_beside(items, key)
    return [
        Example(
            title=str(direction) + (" (emergent)" if direction.emergent else ""),
            query=(query, show[query][q]),
            results=[(key, show[key][k], (q, k) in right) for k in best],
            notes=notes,
        )
        for q, best in zip(drawn, best_QT, strict=True)
    ]


def _texts_beside(items: Mapping[str, Items], modality: str) -> dict[str, str]:
    """Value -> a text that shares a row with it."""
    if modality == "text" or "text" not in items:
        return {}
    values, texts = items[modality].values, items["text"].values
    return {values[own]: texts[text] for own, text in true_pairs(items[modality], items["text"]).tolist()}


def report(
    embed: Embed,
    cells: Mapping[str, Sequence[str]],
    directions: Sequence[Direction],
    out: Path,
    queries: int = 2,
    top: int = 5,
    title: str = "Retrieval",
    groups: tuple[str, Sequence[str]] = ("", ()),
) -> list[Result]:
    """Embeds every item, prints the table, writes it to out/report.md and the picture to out/report.png.

    Args:
        embed: turns values of a modality into features.
        cells: modality -> its cell in each row, all of one length; files as paths that can be opened from here.
        directions: what to measure, in the table's order.
        queries: queries shown a direction.
        top: results shown a query.
        groups: what the groups are, and the group of each row (see `measure_groups`); none by default.

    Raises:
        ValueError: a direction without a pair.
    """
    items = {modality: collect_items(column) for modality, column in cells.items()}
    features = {modality: embed(modality, one.values).float().cpu() for modality, one in items.items()}
    heading, row_group = groups
    results = measure_groups(features, items, directions, row_group)
    table = format_table(results, heading)
    out.mkdir(parents=True, exist_ok=True)
    notes = ""
    if any(direction.emergent for direction in directions):
        notes += "\nEmergent: the two modalities were never paired in training.\n"
    if heading:
        notes += f"\nIn a {heading} only what belongs to it is searched; `{MEAN}` is the mean over their queries.\n"
    (out / "report.md").write_text(f"# {title}\n\nRecall in percent (chance).\n\n{table}\n{notes}", encoding="utf-8")
    examples = [x for direction in directions for x in pick_examples(features, items, direction, queries, top)]
    draw_examples(examples, out / "report.png", title)
    print(table)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.retrieval_report",
        description="Measure retrieval between the modalities of a checkpoint; write a table and a picture.",
    )
    add_view_flags(parser)
    parser.add_argument("--directions", nargs="+", default=[], metavar="QUERY:KEY", help="e.g. text:image image:text")
    parser.add_argument(
        "--emergent", nargs="+", default=[], metavar="QUERY:KEY", help="directions never paired in training: marked so"
    )
    parser.add_argument("--groups", metavar="COLUMN", help="also each group of rows apart, e.g. language")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md and report.png")
    parser.add_argument("--title", default="Retrieval", help="heading of the table and the picture")
    parser.add_argument("--queries", type=int, default=2, help="queries shown a direction (default 2)")
    parser.add_argument("--top", type=int, default=5, help="results shown a query (default 5)")
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
    args = parse_view_flags(parser, argv)
    directions = _read_directions(args, parser)
    with errors_told():
        cells = read_views(args)
        groups = (args.groups, read_columns(args.manifest, [args.groups])[0]) if args.groups else ("", ())
        report(load_embed(args), cells, directions, args.out, args.queries, args.top, args.title, groups)
    print(f"written to {args.out}/report.md and {args.out}/report.png")


if __name__ == "__main__":
    main()
