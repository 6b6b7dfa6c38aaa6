"""The network and the objectives against recorded numbers: features, losses, gradients, optimiser steps."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import torch
import yaml
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from omegaconf import OmegaConf
from torch import Tensor

from one_peace import criterions, models  # noqa: F401  (register)
from one_peace.criterions.contrastive import AligningLoss
from one_peace.models.retrieval import AligningModel
from one_peace.optim.adam import AdjustAdam, AdjustAdamConfig
from one_peace.optim.param_groups import tag_parameters

Case = tuple[str, float, float]
FEATURES = (2e-5, 1e-4)  # absolute, relative
EMBEDDINGS = (5e-6, 0.0)
LOSS_RTOL, GRAD_TOLERANCE, STEP_LOSS_RTOL = 1e-5, 1e-3, 1e-4
PARAMETERS_MOST, PARAMETERS_ALL = 1e-5, 1e-3
UNUSED = (".mask_embedding", "rp_bucket", "position_idx", "fusion_model.version")


def cases(folder: Path) -> Iterator[Case]:
    """Every recorded model this code builds."""
    for case in sorted(p for p in folder.iterdir() if (p / "config.yaml").is_file()):
        name = yaml.safe_load((case / "config.yaml").read_text())["model"]["_name"]
        if name == "one_peace_pretrain":
            yield from pretrain_cases(case)
        elif name == "one_peace_retrieval":
            yield from retrieval_cases(case)


# -- building ---------------------------------------------------------------------------------------------------------


def load(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)


def build_model(case: Path, **overrides) -> AligningModel:
    """The recorded model with its weights, from its released-style yaml."""
    config = yaml.safe_load((case / "config.yaml").read_text())
    task = SimpleNamespace(modalities=modalities(case, config), adapter_settings=lambda: settings(case, config))
    name = config["model"]["_name"]
    user = {**config["model"], "release_padding": True, **overrides}
    cfg = OmegaConf.merge(OmegaConf.structured(MODEL_DATACLASS_REGISTRY[name]()), user)
    model = MODEL_REGISTRY[name].build_model(cfg, task)
    model.load_state_dict(load(case / "state_dict.pt"), strict=True)
    return model.eval()


def modalities(case: Path, config: dict) -> tuple[str, ...]:
    present = load(case / "state_dict.pt")
    return tuple(m for m in ("text", "image", "audio") if f"{m}_proj.weight" in present)


def settings(case: Path, config: dict) -> dict:
    vocabulary = load(case / "state_dict.pt")["encoder_wrapper.text_adapter.embed_tokens.weight"].shape[0]
    grid = config["task"]["patch_image_size"] // 16
    return {"text": {"vocab_size": vocabulary, "pad": 1}, "image": {"rel_bucket_size": grid}}


def build_criterion(case: Path, pair: tuple[str, str], **overrides) -> AligningLoss:
    config = {**yaml.safe_load((case / "config.yaml").read_text())["criterion"], **overrides}
    name = config.pop("_name")
    cfg = OmegaConf.merge(OmegaConf.structured(CRITERION_DATACLASS_REGISTRY[name]()), config)
    return CRITERION_REGISTRY[name].build_criterion(cfg, SimpleNamespace(modalities=pair))


def batch(raw: dict[str, Tensor]) -> dict:
    """A recorded batch in this code's layout."""
    inputs = {"text": {"values": raw["src_tokens"]}}
    if "src_images" in raw:
        inputs["image"] = {"values": raw["src_images"]}
    if "src_audios" in raw:
        inputs["audio"] = {"values": raw["src_audios"], "padding_mask": raw["audio_padding_masks"]}
    masks: dict[str, dict] = {}
    for key in raw:
        if key.endswith("_mask_indices"):
            prefix, _, name = key.removesuffix("_mask_indices").rpartition("_")
            entry = {"mask_indices": raw[key], "keep_ids": raw[key.replace("mask_indices", "preserve_ids")]}
            masks.setdefault("+".join(inputs) if prefix else name, {})[name] = entry
    return {"nsentences": len(raw["id"]), "net_input": {"inputs": inputs, "masks": masks}}


# -- comparing --------------------------------------------------------------------------------------------------------


def distance(ours: Tensor, reference: Tensor, tolerance: tuple[float, float]) -> float:
    """max |diff| / (1 + rtol/atol |ref|): within tolerance iff at most atol."""
    absolute, relative = tolerance
    scale = 1 + relative / absolute * reference.double().abs()
    return float(((ours.double() - reference.double()).abs() / scale).max())


def relative_errors(ours: dict[str, float], reference: dict[str, float]) -> float:
    return max(abs(float(ours[k]) - v) / max(abs(v), 1e-12) for k, v in reference.items() if k != "sample_size")


def compare_gradients(case: Path, model: AligningModel, suffix: str) -> Iterator[Case]:
    """Full gradients where recorded, summaries elsewhere; and which parameters get none."""
    ours = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    worst = 0.0
    if (case / f"grads{suffix}.pt").is_file():
        reference = load(case / f"grads{suffix}.pt")
        for key, grad in reference.items():
            worst = max(worst, float((ours[key] - grad).abs().max() / (grad.abs().max() + 1e-3)))
        names = set(reference)
    else:
        reference = json.loads((case / f"grads_summary{suffix}.json").read_text())
        for key, summary in reference.items():
            worst = max(worst, summary_distance(ours[key], summary))
        names = set(reference)
    yield f"{case.name}: gradients{suffix}", worst, GRAD_TOLERANCE
    frozen = set(json.loads((case / f"params_without_grad{suffix}.json").read_text()))
    extra = {k for k, _ in model.named_parameters() if k not in ours} - frozen
    yield f"{case.name}: which parameters have gradients{suffix}", float(len(set(ours) ^ names) + len(extra)), 0.0


def summary_distance(value: Tensor, summary: dict) -> float:
    """Worst difference of the recorded figures, relative to the tensor's largest value (plus the absolute share)."""
    flat, top = value.detach().double().flatten(), summary["absmax"] + 1e-3
    assert list(value.shape) == summary["shape"]
    errors = [
        abs(float(flat.abs().max()) - summary["absmax"]),
        abs(float(flat.norm()) - summary["l2"]) / max(1.0, len(flat) ** 0.5),
        *(abs(a - b) for a, b in zip(flat[:4].tolist(), summary["first"], strict=False)),
        *(abs(a - b) for a, b in zip(flat[-2:].tolist(), summary["last"], strict=False)),
    ]
    return max(errors) / top


# -- pretraining ------------------------------------------------------------------------------------------------------


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


def compare_outputs(case: Path, model: AligningModel, sample: dict) -> Iterator[Case]:
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


def compare_intermediates(case: Path, model: AligningModel, sample: dict) -> Iterator[Case]:
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
    worst = 0.0
    for key in ours.keys() & reference.keys():
        value, expected = ours[key] if key.endswith("sample0") else ours[key][:1], reference[key]
        if key.startswith("hidden."):
            padding_BL = paddings[key.split(".")[2]]
            where = real_positions(value, None if padding_BL is None else padding_BL[:1])
            value, expected = value[where], expected[where]
        worst = max(worst, distance(value, expected, FEATURES))
    yield f"{case.name}: {len(ours.keys() & reference.keys())} intermediate tensors", worst, FEATURES[0]


def compare_loss(case: Path, model, criterion: AligningLoss, sample: dict, suffix: str) -> Iterator[Case]:
    reference = json.loads((case / f"loss{suffix}.json").read_text())
    loss, log, _ = criterion.compute(model, sample)
    loss.backward()
    error = relative_errors({**log, "loss": loss.detach()}, reference["logging_output"])
    yield f"{case.name}: losses{suffix}", error, LOSS_RTOL


def compare_temperature(case: Path, model: AligningModel) -> Iterator[Case]:
    worst = 0.0
    for row in json.loads((case / "logit_scale_clamp.json").read_text()):
        with torch.no_grad():
            model.logit_scale.fill_(row["raw"])
            worst = max(worst, abs(float(model.temperature()) - row["exp"]) / row["exp"])
            worst = max(worst, abs(float(model.logit_scale) - row["stored_after"]))
    yield f"{case.name}: temperature clamp", worst, 1e-6


def compare_steps(case: Path, model, criterion: AligningLoss, sample: dict, suffix: str) -> Iterator[Case]:
    """The recorded optimiser steps with this repository's optimiser, and the parameters they end with."""
    record = json.loads((case / f"train_steps{suffix}.json").read_text())
    tag_parameters(model.named_parameters())
    options = AdjustAdamConfig(
        adam_betas=record["optimizer"]["betas"],
        adam_eps=record["optimizer"]["eps"],
        weight_decay=record["optimizer"]["weight_decay"],
        layer_decay=record["layer_decay"],
        release_decay_list=True,
        lr=[record["lr"]],
    )
    optimizer = AdjustAdam(options, [p for p in model.parameters() if p.requires_grad])
    loss_error = 0.0
    for step in record["steps"]:
        optimizer.zero_grad()
        loss, _, _ = criterion.compute(model, sample)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            [p for p in model.parameters() if p.grad is not None], record["clip_norm"]
        )
        optimizer.set_lr(step["lr_min_max_used"][1])
        optimizer.step()
        loss_error = max(
            loss_error, abs(float(loss) / step["loss"] - 1), abs(float(norm) / step["grad_norm_before_clip"] - 1)
        )
    loss_error = max(loss_error, abs(float(criterion.compute(model, sample)[0]) / record["final_loss"] - 1))
    yield f"{case.name}: losses of {len(record['steps'])} steps{suffix}", loss_error, STEP_LOSS_RTOL
    yield from compare_final_parameters(case, model, suffix)


def compare_final_parameters(case: Path, model: AligningModel, suffix: str) -> Iterator[Case]:
    ours = dict(model.named_parameters())
    if (case / f"train_final_params{suffix}.pt").is_file():
        reference = load(case / f"train_final_params{suffix}.pt")
        diff = torch.cat([(ours[k] - v).abs().flatten() for k, v in reference.items() if k in ours])
        share = float((diff > PARAMETERS_MOST).double().mean())
        yield f"{case.name}: share of final parameters off by more than 1e-5{suffix}", share, 1e-3
        yield f"{case.name}: final parameters{suffix}", float(diff.max()), PARAMETERS_ALL
    else:
        reference = json.loads((case / f"train_final_params_summary{suffix}.json").read_text())
        worst = max(summary_distance(ours[k], v) for k, v in reference.items() if k in ours)
        yield f"{case.name}: final parameters (summaries){suffix}", worst, PARAMETERS_ALL


# -- retrieval --------------------------------------------------------------------------------------------------------


def retrieval_cases(case: Path) -> Iterator[Case]:
    reference, model = load(case / "outputs.pt"), build_model(case)
    for pair, criterion_name in (
        ("image_text", "image_text_retrieval_criterion"),
        ("audio_text", "audio_text_retrieval_criterion"),
    ):
        sample = batch(load(case / f"inputs_{pair}.pt"))
        inputs = sample["net_input"]["inputs"]
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
    raw = batch(load(case / "inputs_audio_text.pt"))["net_input"]["inputs"]["audio"]
    with torch.no_grad():
        error = distance(model.embed("audio", **raw), reference["audio_logits_unpadded_single"], EMBEDDINGS)
    yield f"{case.name}: padded clips equal single clips", error, EMBEDDINGS[0]
