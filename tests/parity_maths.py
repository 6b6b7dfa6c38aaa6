"""Small formulas against recorded numbers: relative position buckets, label smoothing, table resizing by run-time."""

from collections.abc import Iterator
from pathlib import Path

import torch

from one_peace.criterions import label_smoothed_cross_entropy
from one_peace.modalities.relative_positions import grid_buckets, token_buckets_by_distance


def cases(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Cases of ``folder/processing`` that concern the network and the objectives."""
    tables = folder / "processing" / "bucket_tables.pt"
    if tables.is_file():
        for key, reference in torch.load(tables, weights_only=True).items():
            if key.startswith("image_bucket"):
                ours = grid_buckets(*2 * (int(key.removeprefix("image_bucket")),))
            else:
                bucket, positions = key.removeprefix("token_bucket").removesuffix(".by_distance").split("_max")
                ours = token_buckets_by_distance(int(bucket), int(positions))
                # raw tables may leave the range at the two farthest distances, which CLS's row and column overwrite
                ours, reference = ours[1:-1], reference[1:-1]
            yield f"processing: {key}", float((ours != reference).sum()), 0.0
    smoothing = folder / "processing" / "label_smoothed_nll.pt"
    if smoothing.is_file():
        data = torch.load(smoothing, weights_only=True)
        for key, reference in data.items():
            if key.startswith("loss_eps"):
                eps = float(key.removeprefix("loss_eps").replace("_", "."))
                ours = label_smoothed_cross_entropy(data["logits"], data["target"], eps)
                yield f"processing: label smoothing {eps}", abs(float(ours) / float(reference) - 1), 1e-5
