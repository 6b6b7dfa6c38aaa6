"""One rank of several: the meters of a share of some samples, as JSON."""

import json
from pathlib import Path

import torch
import torch.distributed as dist

from one_peace.metrics import AccuracyMeter, RetrievalMeter

SAMPLES, WIDTH = 61, 8


def samples() -> tuple[torch.Tensor, ...]:
    """Keys and features of SAMPLES pairs; many items repeat, some captions fit several images."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 23, (SAMPLES,), generator=generator)
    captions = torch.randint(0, 31, (SAMPLES,), generator=generator)
    image_features, text_features = (torch.randn(40, WIDTH, generator=generator) for _ in range(2))
    return images * 2**40, image_features[images], captions - 2**62, text_features[captions]


def shard(rank: int, world: int) -> slice:
    """A contiguous slice; rank 1 of 3 gets nothing."""
    bounds = {1: [0, SAMPLES], 2: [0, 17, SAMPLES], 3: [0, 17, 17, SAMPLES]}[world]
    return slice(bounds[rank], bounds[rank + 1])


def report(part: tuple[torch.Tensor, ...]) -> dict:
    """What the meters of all ranks report, of which this one has ``part``."""
    retrieval, accuracy = RetrievalMeter("img", "txt"), AccuracyMeter()
    if len(part[0]):
        for batch in zip(*(tensor.split(7) for tensor in part), strict=True):
            retrieval.add(*batch)
            accuracy.add(batch[0], predicted=batch[0] % 3, label=batch[0] % 2)
    table = {name: column.tolist() for name, column in accuracy.gather().items()}
    return {
        "recall": retrieval.compute(),
        "chance": retrieval.chance(),
        "accuracy": accuracy.compute(),
        "table": table,
    }


def main(rank: int, world: int, store: str, out: str) -> None:
    """Joins the others at the file ``store`` and writes the report to ``out``."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    Path(out).write_text(json.dumps(report(tuple(tensor[shard(rank, world)] for tensor in samples()))))
    dist.destroy_process_group()
