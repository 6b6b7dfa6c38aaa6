"""The retrieval model and its criterions against recorded numbers."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from .parity_tools import (
    EMBEDDINGS,
    Case,
    build_criterion,
    build_model,
    compare_gradients,
    compare_loss,
    distance,
    load,
    raw_inputs,
    recorded,
)


def cases(folder: Path) -> Iterator[Case]:
    """Every recorded retrieval model."""
    for case in recorded(folder, "one_peace_retrieval"):
        yield from retrieval_cases(case)


def retrieval_cases(case: Path) -> Iterator[Case]:
    reference, model = load(case / "outputs.pt"), build_model(case)
    for pair, criterion_name in (
        ("image_text", "image_text_retrieval_criterion"),
        ("audio_text", "audio_text_retrieval_criterion"),
    ):
        raw = load(case / f"inputs_{pair}.pt")
        inputs = raw_inputs(raw)
        sample = {"nsentences": len(raw["id"]), "net_input": {"inputs": inputs}}
        with torch.no_grad():
            out = model(inputs)
        for name in inputs:
            error = distance(out["embeddings"][name], reference[f"{pair}_{name}_logits"], EMBEDDINGS)
            yield f"{case.name}: {pair} {name} embeddings", error, EMBEDDINGS[0]
        for suffix, smoothing in (("", 0.0), ("_ls0.1", 0.1)):
            model = build_model(case)
            criterion = build_criterion(case, tuple(inputs), _name=criterion_name, label_smoothing=smoothing)
            yield from compare_loss(case, model, criterion, sample, f"_{pair}{suffix}")
            if suffix:
                yield from compare_gradients(case, model, f"_{pair}{suffix}")
    yield from compare_padding(case, reference)


def compare_padding(case: Path, reference: dict[str, Tensor]) -> Iterator[Case]:
    """The right default: a padded batch gives what each clip gives alone."""
    model = build_model(case, release_padding=False)
    raw = raw_inputs(load(case / "inputs_audio_text.pt"))["audio"]
    with torch.no_grad():
        error = distance(model.embed("audio", **raw), reference["audio_logits_unpadded_single"], EMBEDDINGS)
    yield f"{case.name}: padded clips equal single clips", error, EMBEDDINGS[0]
