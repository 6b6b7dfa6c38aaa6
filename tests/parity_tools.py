"""What the parity files share: recorded models and batches in this code's terms, and how numbers are compared."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import torch
import yaml
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from omegaconf import OmegaConf
from torch import Tensor

from one_peace import criterions, models  # noqa: F401  (register)
from one_peace.criterions.base import Loss
from one_peace.models import BaseModel
from one_peace.optim.adam import AdjustAdam, AdjustAdamConfig
from one_peace.optim.param_groups import tag_parameters

Case = tuple[str, float, float]
FEATURES = (2e-5, 1e-4)  # absolute, relative
EMBEDDINGS = (5e-6, 0.0)
LOSS_RTOL, GRAD_TOLERANCE, STEP_LOSS_RTOL = 1e-5, 1e-3, 1e-4
PARAMETERS_MOST, PARAMETERS_ALL = 1e-5, 1e-3
MODEL_OPTIONS: dict[str, bool] = {"release_padding": True}  # of every model that is compared

MODALITIES = {
    "text": ("text",),
    "image": ("image",),
    "audio": ("audio",),
    "vl": ("text", "image"),
    "al": ("text", "audio"),
    "val": ("text", "image", "audio"),
}


def read_config(case: Path) -> dict:
    return yaml.safe_load((case / "config.yaml").read_text())


def recorded(folder: Path, model: str) -> list[Path]:
    """The cases in ``folder`` of one registered model."""
    cases = sorted(path for path in folder.iterdir() if (path / "config.yaml").is_file())
    return [case for case in cases if read_config(case)["model"]["_name"] == model]


def load(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True, map_location=torch.get_default_device())


def new_model(config: dict, vocabulary: int, **overrides) -> BaseModel:
    """A model as the release's yaml asks for it, without recorded weights."""
    task, name = config["task"], config["model"]["_name"]
    branches = SimpleNamespace(
        modalities=MODALITIES[task.get("head_type") or ("al" if "audio" in task["_name"] else "vl")],
        adapter_settings=lambda: {
            "text": {"vocab_size": vocabulary, "pad": 1},
            "image": {"rel_bucket_size": task["patch_image_size"] // 16},
        },
        num_classes=task.get("num_classes"),
        num_passes=2 if task.get("use_two_images") else 1,
        pass_features="concat",
    )
    user = {**config["model"], **MODEL_OPTIONS, **overrides}
    cfg = OmegaConf.merge(OmegaConf.structured(MODEL_DATACLASS_REGISTRY[name]()), user)
    return MODEL_REGISTRY[name].build_model(cfg, branches).eval()


def build_model(case: Path, **overrides) -> BaseModel:
    """The recorded model with its weights."""
    weights = load(case / "state_dict.pt")
    tokens = weights.get("encoder_wrapper.text_adapter.embed_tokens.weight")
    model = new_model(read_config(case), 0 if tokens is None else len(tokens), **overrides)
    model.load_state_dict(weights, strict=True)
    return model


def build_criterion(case: Path, pair: tuple[str, ...] = (), **overrides) -> Loss:
    config = {**read_config(case)["criterion"], **overrides}
    name = config.pop("_name")
    cfg = OmegaConf.merge(OmegaConf.structured(CRITERION_DATACLASS_REGISTRY[name]()), config)
    return CRITERION_REGISTRY[name].build_criterion(cfg, SimpleNamespace(modalities=pair))


def raw_inputs(raw: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A recorded batch's inputs by modality."""
    inputs = {}
    if "src_tokens" in raw:
        inputs["text"] = {"values": raw["src_tokens"]}
    if "src_images" in raw:
        inputs["image"] = {"values": raw["src_images"]}
    if "src_audios" in raw:
        inputs["audio"] = {"values": raw["src_audios"], "padding_mask": raw["audio_padding_masks"]}
    return inputs


# -- comparing --------------------------------------------------------------------------------------------------------


def worst(errors: Iterable[float | Tensor]) -> float:
    """The largest error; NaN, which Python's max may pass over, is the worst."""
    return float(torch.tensor([float(error) for error in errors]).max())


def distance(ours: Tensor, reference: Tensor, tolerance: tuple[float, float]) -> float:
    """max |diff| / (1 + rtol/atol |ref|): within tolerance iff at most atol."""
    absolute, relative = tolerance
    scale = 1 + relative / absolute * reference.double().abs()
    return float(((ours.double() - reference.double()).abs() / scale).max())


def relative_errors(ours: dict[str, float], reference: dict[str, float]) -> float:
    return worst(abs(float(ours[k]) - v) / max(abs(v), 1e-12) for k, v in reference.items())


def compare_gradients(case: Path, model: BaseModel, suffix: str = "") -> Iterator[Case]:
    """Full gradients where recorded, summaries elsewhere; and which parameters get none, or zeros."""
    ours = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    if (case / f"grads{suffix}.pt").is_file():
        reference = load(case / f"grads{suffix}.pt")
        error = worst((ours[k] - grad).abs().max() / (grad.abs().max() + 1e-3) for k, grad in reference.items())
    else:
        reference = json.loads((case / f"grads_summary{suffix}.json").read_text())
        error = worst(summary_distance(ours[key], summary) for key, summary in reference.items())
    yield f"{case.name}: gradients{suffix}", error, GRAD_TOLERANCE
    frozen = set(json.loads((case / f"params_without_grad{suffix}.json").read_text()))
    extra = {k for k, _ in model.named_parameters() if k not in ours} - frozen
    yield (
        f"{case.name}: which parameters have gradients{suffix}",
        float(len(set(ours) ^ set(reference)) + len(extra)),
        0.0,
    )
    zero = set(json.loads((case / f"loss{suffix}.json").read_text())["params_with_all_zero_grad"])
    wrong = sum(bool(ours[key].any()) for key in zero) + sum(
        not grad.any() for k, grad in ours.items() if k not in zero
    )
    yield f"{case.name}: which gradients are all zero{suffix}", float(wrong), 0.0


def summary_distance(value: Tensor, summary: dict) -> float:
    """Worst difference of the recorded figures, relative to the tensor's largest value (plus the absolute share)."""
    flat, top = value.detach().double().flatten(), summary["absmax"] + 1e-3
    assert list(value.shape) == summary["shape"]
    errors = [
        abs(float(flat.abs().max()) - summary["absmax"]),
        abs(float(flat.norm()) - summary["l2"]) / max(1.0, len(flat) ** 0.5),
        abs(float(flat.sum()) - summary["sum"]) / max(1.0, len(flat) ** 0.5),
        *(abs(a - b) for a, b in zip(flat[:4].tolist(), summary["first"], strict=False)),
        *(abs(a - b) for a, b in zip(flat[-2:].tolist(), summary["last"], strict=False)),
    ]
    return worst(errors) / top


def compare_loss(case: Path, model, criterion: Loss, sample: dict, suffix: str = "") -> Iterator[Case]:
    reference = json.loads((case / f"loss{suffix}.json").read_text())
    loss, log, _ = criterion.compute(model, sample)
    loss.backward()
    error = relative_errors({**log, "loss": loss.detach()}, reference["logging_output"])
    yield f"{case.name}: losses{suffix}", error, LOSS_RTOL


def compare_steps(case: Path, model, criterion: Loss, sample: dict, suffix: str = "") -> Iterator[Case]:
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
    errors = []
    for step in record["steps"]:
        optimizer.zero_grad()
        loss, log, _ = criterion.compute(model, sample)
        loss.backward()
        trained = [p for p in model.parameters() if p.grad is not None]
        for parameter in trained:
            parameter.grad /= log["sample_size"]
        norm = torch.nn.utils.clip_grad_norm_(trained, record["clip_norm"] or torch.inf)
        optimizer.set_lr(step["lr_min_max_used"][1])
        optimizer.step()
        errors += [abs(float(loss) / step["loss"] - 1), abs(float(norm) / step["grad_norm_before_clip"] - 1)]
    errors.append(abs(float(criterion.compute(model, sample)[0]) / record["final_loss"] - 1))
    yield f"{case.name}: losses of {len(record['steps'])} steps{suffix}", worst(errors), STEP_LOSS_RTOL
    yield from compare_final_parameters(case, model, suffix)


def compare_final_parameters(case: Path, model: BaseModel, suffix: str = "") -> Iterator[Case]:
    ours = dict(model.named_parameters())
    if (case / f"train_final_params{suffix}.pt").is_file():
        reference = load(case / f"train_final_params{suffix}.pt")
        diff = torch.cat([(ours[k] - v).abs().flatten() for k, v in reference.items() if k in ours])
        share = float((diff > PARAMETERS_MOST).double().mean())
        yield f"{case.name}: share of final parameters off by more than 1e-5{suffix}", share, 1e-3
        yield f"{case.name}: final parameters{suffix}", float(diff.max()), PARAMETERS_ALL
    else:
        reference = json.loads((case / f"train_final_params_summary{suffix}.json").read_text())
        error = worst(summary_distance(ours[k], v) for k, v in reference.items() if k in ours)
        yield f"{case.name}: final parameters (summaries){suffix}", error, PARAMETERS_ALL
