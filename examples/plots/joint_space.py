"""Draws a map of the joint space: ``python -m one_peace.examples.plots.joint_space CHECKPOINT MANIFEST --out map.png``.

Every modality of a manifest's rows in one picture: neighbours in the space are neighbours on the map (t-SNE).

    python -m one_peace.examples.plots.joint_space one_peace.pt test.tsv --out map.png \\
        --columns text=caption image=image audio=audio --colours kind --links 20

A marker's shape is its modality, its colour too or, with ``--colours COLUMN``, what that column says of its row.
``--links`` joins the views of some rows by lines. Modalities are moved to a common centre first: in a contrastive space
they lie apart as wholes, which says nothing of what is near to what. ``--no-centre`` leaves them where they are.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch

from one_peace.examples.retrieval import Items, collect_items
from one_peace.examples.views import (
    add_view_flags,
    errors_told,
    load_embed,
    parse_view_flags,
    read_columns,
    read_views,
)

matplotlib.use("Agg")  # no display needed
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

MARKERS = "osv^DP*X<>"
COLOURS = plt.get_cmap("tab10").colors
OTHER = (0.75, 0.75, 0.75)
SEED = 0


def choose_rows(cells: Mapping[str, Sequence[str]], limit: int) -> list[int]:
    """At most ``limit`` rows of those that show most modalities: a fixed random draw."""
    shown = np.array([sum(map(bool, row)) for row in zip(*cells.values(), strict=True)])
    complete = np.flatnonzero(shown == shown.max())
    return np.random.default_rng(SEED).permutation(complete)[:limit].tolist()


def place(features: Mapping[str, torch.Tensor], centre: bool = True) -> dict[str, np.ndarray]:
    """Points of a map, modality -> float[N, 2].

    Args:
        features: modality -> float[N, D] of unit norm.
        centre: take each modality's mean away before.
    """
    from sklearn.manifold import TSNE  # takes a second to import: not needed for --help

    parts = [x - x.mean(dim=0) if centre else x for x in features.values()]
    all_ND = torch.cat(parts).numpy()
    tsne = TSNE(metric="cosine", perplexity=min(30, (len(all_ND) - 1) / 3), random_state=SEED)
    points_N2 = tsne.fit_transform(all_ND)
    return dict(zip(features, np.split(points_N2, np.cumsum([len(x) for x in parts])[:-1]), strict=True))


def labels_of(items: Items, row_label: Sequence[str]) -> list[str]:
    """What each item is called: the label of the first row that shows it."""
    labels: dict[int | None, str] = {}
    for item, label in zip(items.row_item, row_label, strict=True):
        labels.setdefault(item, label)
    return [labels[item] for item in range(len(items.values))]


def draw_map(
    points: Mapping[str, np.ndarray],
    labels: Mapping[str, Sequence[str]],
    links: Sequence[np.ndarray],
    path: Path,
    title: str,
) -> None:
    """Writes the map.

    Args:
        points: modality -> float[N, 2].
        labels: modality -> what decides the colour of each of its points.
        links: lines, float[P, 2] each.
        path: the PNG (or another format that matplotlib knows by its ending).
        title: heading.
    """
    counts = Counter(label for column in labels.values() for label in column)
    colours = dict(zip((label for label, _ in counts.most_common(len(COLOURS))), COLOURS, strict=False))
    figure, axes = plt.subplots(figsize=(8, 7))
    for line_P2 in links:
        axes.plot(*line_P2.T, color="black", linewidth=0.6, alpha=0.5, zorder=1)
    markers = dict(zip(points, MARKERS, strict=False))
    for modality, points_N2 in points.items():
        colour = [colours.get(label, OTHER) for label in labels[modality]]
        axes.scatter(*points_N2.T, c=colour, marker=markers[modality], s=16, linewidths=0, alpha=0.8, zorder=2)

    def handle(name: str, marker: str, colour: object) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, color=colour, label=name)

    shapes = [handle(name, marker, colours.get(name, "black")) for name, marker in markers.items()]
    named = [handle(name, ".", colour) for name, colour in colours.items() if name not in markers]
    rest = [handle("other", ".", OTHER)] if len(counts) > len(colours) else []
    axes.legend(handles=[*shapes, *named, *rest], fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=96)
    plt.close(figure)


def draw_views(args: argparse.Namespace) -> None:
    """Draws what the command line asks for."""
    cells = read_views(args)
    rows = choose_rows(cells, args.limit)
    items = {modality: collect_items([column[row] for row in rows]) for modality, column in cells.items()}
    items = {modality: one for modality, one in items.items() if one.values}
    embed = load_embed(args)
    features = {modality: embed(modality, one.values).float().cpu() for modality, one in items.items()}
    print(f"placing {sum(map(len, features.values()))} points", flush=True)
    points = place(features, not args.no_centre)
    labels: dict[str, Sequence[str]] = {modality: [modality] * len(one.values) for modality, one in items.items()}
    if args.colours:
        (column,) = read_columns(args.manifest, [args.colours])
        labels = {modality: labels_of(one, [column[row] for row in rows]) for modality, one in items.items()}
    linked = [
        np.stack(
            [points[modality][one.row_item[row]] for modality, one in items.items() if one.row_item[row] is not None]
        )
        for row in range(min(args.links, len(rows)))
    ]
    draw_map(points, labels, linked, args.out, args.title)
    print(f"written to {args.out}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m one_peace.examples.plots.joint_space",
        description="Draw a map of the joint space of a checkpoint's modalities.",
    )
    add_view_flags(parser)
    parser.add_argument("--out", type=Path, required=True, help="the picture, such as map.png")
    parser.add_argument("--limit", type=int, default=300, help="rows of the manifest that are drawn (default 300)")
    parser.add_argument("--colours", metavar="COLUMN", help="colour by this column (default: by modality)")
    parser.add_argument("--links", type=int, default=0, help="rows whose views are joined by lines (default 0)")
    parser.add_argument("--no-centre", action="store_true", help="leave modalities apart as wholes")
    parser.add_argument("--title", default="Joint space", help="heading")
    args = parse_view_flags(parser, argv)
    if args.limit < 2 or args.links < 0:
        parser.error("--limit must be at least 2, --links at least 0")
    with errors_told():
        draw_views(args)


if __name__ == "__main__":
    main()
