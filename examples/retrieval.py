"""Recall between columns of a manifest, over all rows and by groups of them, and the table that shows it.

Rows whose cells are equal show the same item (the same caption string, the same file), and any of an item's partners is
a right answer. An empty cell shows nothing: such a row only adds what its other cells show to what is searched among.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from one_peace.metrics.recall import KS, chance_recall, retrieval_recall

ALL, MEAN = "all", "mean"
"""Names of the rows of the table that are no group: everything at once, and the mean over the groups' queries."""


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
    """The distinct cells of one column: `values`[item], and `row_item`[row] = the item that a row shows, or None."""

    values: list[str]
    row_item: list[int | None]


@dataclass(frozen=True)
class Result:
    """Recall at each k of `KS` in percent, beside what a random ranking would reach.

    Attributes:
        queries: how many there are; what has no partner is none.
        keys: how many are searched; None in a mean over groups.
        group: which rows were searched.
    """

    direction: Direction
    queries: int
    keys: int | None
    recall: dict[int, float]
    chance: dict[int, float]
    group: str = ALL


def collect_items(cells: Sequence[str]) -> Items:
    """Gives equal cells one number, in order of appearance; empty ones none."""
    numbers: dict[str, int] = {}
    row_item = [numbers.setdefault(cell, len(numbers)) if cell else None for cell in cells]
    return Items(list(numbers), row_item)


def true_pairs(query: Items, key: Items, rows: Sequence[int] | None = None) -> torch.Tensor:
    """Pairs of items that share one of ``rows`` (default: any): int64[P, 2] of (query item, key item), each once."""
    rows = range(len(query.row_item)) if rows is None else rows
    pairs = {(query.row_item[row], key.row_item[row]) for row in rows}
    return torch.tensor(sorted(pair for pair in pairs if None not in pair), dtype=torch.long).view(-1, 2)


def measure(
    features: Mapping[str, torch.Tensor],
    items: Mapping[str, Items],
    direction: Direction,
    rows: Sequence[int] | None = None,
    group: str = ALL,
) -> Result | None:
    """Recall of one direction among what ``rows`` (default: all) show; None if they show no pair.

    Args:
        features: modality -> float[items of it, D].
        items: modality -> its items.
    """
    query, key = items[direction.query], items[direction.key]
    rows = range(len(query.row_item)) if rows is None else rows
    pairs = true_pairs(query, key, rows)
    if not len(pairs):
        return None
    query_P, key_P = pairs.T.contiguous()
    queries = query_P.unique()
    keys = torch.tensor(sorted({key.row_item[row] for row in rows} - {None}))
    pairs = torch.stack([torch.searchsorted(queries, query_P), torch.searchsorted(keys, key_P)], dim=1)
    recall = retrieval_recall(features[direction.query][queries], features[direction.key][keys], pairs, KS)
    return Result(direction, len(queries), len(keys), recall, chance_recall(pairs, len(keys), KS), group)


def measure_groups(
    features: Mapping[str, torch.Tensor],
    items: Mapping[str, Items],
    directions: Sequence[Direction],
    row_group: Sequence[str],
) -> list[Result]:
    """Each direction over all rows, then in each group, then the mean over the groups.

    Args:
        row_group: the group of each row; a row without one ("") belongs to all of them.
    """
    groups = sorted(set(row_group) - {""})
    members = {group: [row for row, own in enumerate(row_group) if own in (group, "")] for group in groups}
    table: list[Result] = []
    for direction in directions:
        among_all = measure(features, items, direction)
        if among_all is None:
            raise ValueError(f"{direction}: no row of the manifest shows both")
        found = (measure(features, items, direction, rows, group) for group, rows in members.items())
        grouped = [result for result in found if result]
        table += [among_all, *grouped, *([average(grouped)] if grouped else [])]
    return table


def average(results: Sequence[Result]) -> Result:
    """The mean over the queries of several results of one direction."""
    queries = sum(result.queries for result in results)

    def mean(name: str) -> dict[int, float]:
        return {k: sum(getattr(result, name)[k] * result.queries for result in results) / queries for k in KS}

    return Result(results[0].direction, queries, None, mean("recall"), mean("chance"), MEAN)


def format_table(results: Sequence[Result], groups: str = "") -> str:
    """A markdown table that also reads well in a terminal: one line a result, chance in brackets.

    Args:
        groups: heading of the groups' column, which is left out if it is empty.
    """
    lines = [["direction", *([groups] if groups else []), "queries", "keys", *(f"R@{k} (chance)" for k in KS)]]
    for result in results:
        name = f"{result.direction}{' (emergent)' if result.direction.emergent else ''}"
        cells = [f"{result.recall[k]:.1f} ({result.chance[k]:.1f})" for k in KS]
        keys = "" if result.keys is None else str(result.keys)
        lines.append([name, *([result.group] if groups else []), str(result.queries), keys, *cells])
    left = 1 + bool(groups)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = []
    for line in lines:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        rows.append(f"| {' | '.join(cells)} |")
    rule = "|" + "|".join("-" * (w + 2) if i < left else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([rows[0], rule, *rows[1:]])
