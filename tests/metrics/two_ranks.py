"""One rank of a gloo pair: ``python -m tests.metrics.two_ranks RANK WORLD STORE OUT``; writes the report as JSON."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from one_peace.metrics import RetrievalMeter

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


def main(rank: int, world: int, store: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    meter = RetrievalMeter("img", "txt")
    part = tuple(tensor[shard(rank, world)] for tensor in samples())
    if len(part[0]):
        for batch in zip(*(tensor.split(7) for tensor in part), strict=True):
            meter.add(*batch)
    Path(out).write_text(json.dumps({"report": meter.compute(), "chance": meter.chance()}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
