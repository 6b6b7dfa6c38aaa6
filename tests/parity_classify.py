"""The classification model and its criterions against recorded numbers: logits, losses, gradients, optimiser steps."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from one_peace.criterions import predicted_boxes

from .parity_tools import (
    FEATURES,
    Case,
    build_criterion,
    build_model,
    compare_gradients,
    compare_loss,
    compare_steps,
    distance,
    load,
    raw_inputs,
    read_config,
    recorded,
)


def cases(folder: Path) -> Iterator[Case]:
    """Every recorded classification model."""
    for case in recorded(folder, "one_peace_classify"):
        yield from classify_cases(case)


def classify_cases(case: Path) -> Iterator[Case]:
    raw, reference, model = load(case / "inputs.pt"), load(case / "outputs.pt"), build_model(case)
    sample, options = batch(raw, read_config(case)["criterion"]["_name"]), {}
    if read_config(case)["criterion"]["_name"] == "hinge_loss":
        options = {"release_hinge": True}
    with torch.no_grad():
        logits = model(**sample["net_input"])["logits"]
    for key, ours in derived(logits, raw, reference).items():
        yield f"{case.name}: {key}", distance(ours, reference[key], FEATURES), FEATURES[0]
    criterion = build_criterion(case, **options)
    yield from compare_loss(case, model, criterion, sample)
    yield from compare_gradients(case, model)
    if (case / "train_steps.json").is_file():
        yield from compare_steps(case, build_model(case), criterion, sample)


def batch(raw: dict[str, Tensor], criterion: str) -> dict:
    """A recorded batch in this code's layout."""
    target = raw["target"]
    kind = "boxes" if criterion == "refcoco_criterion" else "scores" if target.is_floating_point() else "labels"
    others = [{"image": {"values": raw["src_images_2"]}}] if "src_images_2" in raw else []
    net_input = {"inputs": raw_inputs(raw), "others": others}
    return {"nsentences": len(raw["id"]), "target": {kind: target}, "net_input": net_input}


def derived(logits: Tensor, raw: dict[str, Tensor], reference: dict[str, Tensor]) -> dict[str, Tensor]:
    """All that was recorded of the output."""
    ours = {"logits": logits}
    if "logits_by_choice" in reference:
        ours["logits_by_choice"] = logits.view_as(reference["logits_by_choice"])
    if "coords_sigmoid" in reference:
        boxes = ours["coords_sigmoid"] = predicted_boxes(logits)
        side, ratios = raw["src_images"].shape[-1], torch.stack([raw["w_resize_ratios"], raw["h_resize_ratios"]], 1)
        ours["boxes_in_original_pixels"] = boxes * side / ratios.repeat(1, 2)
    return ours
