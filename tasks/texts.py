"""Texts that do not stand in a manifest: candidates of retrieval, labels in prompts."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from one_peace.modalities import Reader

_AT_ONCE = 64


def embed_texts(
    model, reader: Reader, texts: Sequence[str], rank: int = 0, world: int = 1
) -> Iterator[tuple[list[str], Tensor]]:
    """Unit-norm embeddings Tensor[N, D] of the texts, a batch at a time.

    Of ``world`` ranks each embeds some of the batches; the batches are the same whatever ``world`` is.
    """
    device = next(model.parameters()).device
    batches = (texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE))
    for batch in itertools.islice(batches, rank, None, world):
        raw = reader.collate([reader.load(text, Path()) for text in batch])
        with torch.no_grad():
            yield list(batch), model.embed("text", **{key: value.to(device) for key, value in raw.items()})
