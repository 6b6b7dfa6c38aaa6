"""The pretraining model and its objectives against recorded numbers: features, losses, gradients, optimiser steps."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from one_peace.models import PretrainModel

from .parity_tools import (
    EMBEDDINGS,
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
    recorded,
    worst,
)


def cases(folder: Path) -> Iterator[Case]:
    """Every recorded pretraining model."""
    for case in recorded(folder, "one_peace_pretrain"):
        yield from pretrain_cases(case)


def batch(raw: dict[str, Tensor]) -> dict:
    """A recorded batch in this code's layout."""
    inputs = raw_inputs(raw)
    masks: dict[str, dict] = {}
    for key in raw:
        if key.endswith("_mask_indices"):
            prefix, _, name = key.removesuffix("_mask_indices").rpartition("_")
            entry = {"mask_indices": raw[key], "keep_ids": raw[key.replace("mask_indices", "preserve_ids")]}
            masks.setdefault("+".join(inputs) if prefix else name, {})[name] = entry
    return {"nsentences": len(raw["id"]), "net_input": {"inputs": inputs, "masks": masks}}


def pretrain_cases(case: Path) -> Iterator[Case]:
    model, sample = build_model(case), batch(load(case / "inputs.pt"))
    yield from compare_outputs(case, model, sample)
    if (case / "intermediates.pt").is_file():
        yield from compare_intermediates(case, model, sample)
    pair = tuple(sample["net_input"]["inputs"])
    runs = [
        ("", {}, {}),
        ("_no_label_smoothing", {}, {"label_smoothing": 0.0}),
        ("_stage2", {"stage2_pretrain": True}, {}),
    ]
    for suffix, model_options, options in runs:
        if not (case / f"loss{suffix}.json").is_file():
            continue
        model, criterion = build_model(case, **model_options), build_criterion(case, pair, **options)
        yield from compare_loss(case, model, criterion, sample, suffix)
        if any(case.glob(f"grads*{suffix}.*")):
            yield from compare_gradients(case, model, suffix)
        if (case / f"train_steps{suffix}.json").is_file():
            yield from compare_steps(case, build_model(case, **model_options), criterion, sample, suffix)
    if (case / "logit_scale_clamp.json").is_file():
        yield from compare_temperature(case, model)


def compare_outputs(case: Path, model: PretrainModel, sample: dict) -> Iterator[Case]:
    inputs, masks = sample["net_input"]["inputs"], sample["net_input"]["masks"]
    names, joint = list(inputs), "v" if "image" in inputs else "a"
    reference, ours, real = load(case / "outputs.pt"), {}, {}
    with torch.no_grad():
        paddings = model.paddings(inputs)
        features = {"": {n: model.encode({n: inputs[n]})[n] for n in names}, f"{joint}l_": model.encode(inputs)}
        for prefix, by_name in features.items():
            for name, x in by_name.items():
                ours[f"{prefix}{name}_features"] = x
                real[f"{prefix}{name}_features"] = real_positions(x, paddings[name])
                if not prefix:
                    ours[f"{name}_logits"] = model.project(name, x[:, 0])
        for key, mask in masks.items():
            part = {n: inputs[n] for n in key.split("+")}
            prefix = f"{joint}l_" if len(part) > 1 else ""
            kept = model.encode(part, {n: mask[n]["keep_ids"] for n in part})
            for name, x in model.decode({tuple(part): kept}, masks, paddings, masked_only=False)[tuple(part)].items():
                ours[f"student_{prefix}{name}_features"] = x
                real[f"student_{prefix}{name}_features"] = real_positions(x, paddings[name])
            for name, x in kept.items():
                ours[f"masked_enc_{prefix}{name}_features"] = x
                real[f"masked_enc_{prefix}{name}_features"] = mask[name]["keep_ids"] >= 0
        ours["logit_scale_exp"] = model.temperature()
    for key, value in reference.items():
        tolerance = EMBEDDINGS if key.endswith("_logits") else FEATURES
        where = real.get(key, ...)  # what stands in padding means nothing
        yield f"{case.name}: {key}", distance(ours[key][where], value[where], tolerance), tolerance[0]


def real_positions(x_BLD: Tensor, padding_BL: Tensor | None) -> Tensor:
    return torch.ones(x_BLD.shape[:2], dtype=torch.bool) if padding_BL is None else ~padding_BL


def compare_intermediates(case: Path, model: PretrainModel, sample: dict) -> Iterator[Case]:
    """Adapter outputs, biases and every layer's hidden states of the first sample."""
    reference, inputs = load(case / "intermediates.pt"), sample["net_input"]["inputs"]
    joint, ours, paddings = "vl" if "image" in inputs else "al", {}, model.paddings(inputs)
    hidden: list[tuple[Tensor, list]] = []
    hooks: list = [
        layer.register_forward_hook(lambda module, args, out: hidden.append((out, args[2])))
        for layer in model.encoder_wrapper.fusion_model.layers
    ]
    with torch.no_grad():
        for name in inputs:
            sequence = model.encoder_wrapper.adapter(name)(**inputs[name])
            padding = sequence.padding_BL
            # recorded before padded positions are zeroed
            shown = 1 if padding is None else ~padding[:1, :, None]
            ours[f"{name}_adapter.x"] = sequence.x_BLD
            reference[f"{name}_adapter.x"] = reference[f"{name}_adapter.x"] * shown
            ours[f"{name}_adapter.bias0_sample0"] = sequence.biases[0][0]
        for kind, part in [*((n, {n: inputs[n]}) for n in inputs), (joint, inputs)]:
            hidden.clear()
            model.encode(part)
            for i, (out, packing) in enumerate(hidden):
                for name, piece in packing.unpack(out)[0].items():
                    ours[f"hidden.{kind}.{name}.layer{i}"] = piece
    for hook in hooks:
        hook.remove()
    errors = []
    for key in ours.keys() & reference.keys():
        value, expected = ours[key] if key.endswith("sample0") else ours[key][:1], reference[key]
        if key.startswith("hidden."):
            padding_BL = paddings[key.split(".")[2]]
            where = real_positions(value, None if padding_BL is None else padding_BL[:1])
            value, expected = value[where], expected[where]
        errors.append(distance(value, expected, FEATURES))
    yield f"{case.name}: {len(ours.keys() & reference.keys())} intermediate tensors", worst(errors), FEATURES[0]


def compare_temperature(case: Path, model: PretrainModel) -> Iterator[Case]:
    errors = []
    for row in json.loads((case / "logit_scale_clamp.json").read_text()):
        with torch.no_grad():
            model.logit_scale.fill_(row["raw"])
            errors.append(abs(float(model.temperature()) - row["exp"]) / row["exp"])
            errors.append(abs(float(model.logit_scale) - row["stored_after"]))
    yield f"{case.name}: temperature clamp", worst(errors), 1e-6
