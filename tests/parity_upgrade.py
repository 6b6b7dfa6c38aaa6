"""Checkpoints loaded into other models against recorded numbers: every tensor, and what the models then compute."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from one_peace.data.train_tokenizer import train_tokenizer
from one_peace.modalities.image.resize import resize_distances, resize_positions
from one_peace.models import BaseModel, ClassifyModel, from_pretrained

from .parity_tools import EMBEDDINGS, FEATURES, Case, distance, load, new_model, raw_inputs, read_config, worst

INTERPOLATED = 1e-5
FRESH = float("nan")


def cases(folder: Path) -> Iterator[Case]:
    """The recorded targets in ``folder/upgrade``, and its raw interpolations."""
    if all((folder / name).exists() for name in ("upgrade/behaviours.json", "pretrain_vl", "pretrain_al")):
        yield from stage_cases(folder)
    if (folder / "checkpoint/hub_outputs.pt").is_file():
        yield from released_cases(folder)
    folder = folder / "upgrade"
    if (folder / "interpolation_functions.pt").is_file():
        yield from interpolation_cases(load(folder / "interpolation_functions.pt"))
    if (folder / "source_state_dict.pt").is_file():
        source, raw = load(folder / "source_state_dict.pt"), load(folder / "inputs.pt")
        for target in sorted(path for path in folder.iterdir() if (path / "info.json").is_file()):
            yield from target_cases(target, source, raw)


def stage_cases(folder: Path) -> Iterator[Case]:
    """A checkpoint of stage 1 in a model of stage 2."""
    weights = load(folder / "pretrain_vl" / "state_dict.pt")
    recorded = json.loads((folder / "upgrade" / "behaviours.json").read_text())["stage1_vl_into_stage2_al"]
    model = new_model(
        read_config(folder / "pretrain_al"), len(weights["encoder_wrapper.text_adapter.embed_tokens.weight"])
    )
    fresh = load_into(model, weights)
    wrong = fresh ^ (set(recorded["result_keys_fresh"]) & set(model.state_dict()))
    yield "upgrade: stage 1 into stage 2: what stays fresh", float(len(wrong)), 0.0


def released_cases(folder: Path) -> Iterator[Case]:
    """A file as the release saves it, by `from_pretrained`: whole, and stripped to settings and weights."""
    recorded, raw = load(folder / "checkpoint" / "hub_outputs.pt"), raw_inputs(load(folder / "upgrade" / "inputs.pt"))
    with tempfile.TemporaryDirectory() as temporary:
        bpe, whole, stripped = (Path(temporary) / name for name in ("bpe", "whole.pt", "stripped.pt"))
        train_tokenizer(["any words"], bpe, vocab_size=20)
        shutil.copy(folder / "processing" / "tiny_dict.txt", bpe / "dict.txt")
        with gzip.open(folder / "checkpoint" / "one_peace_tiny_full.pt.gz") as packed:
            whole.write_bytes(packed.read())
        state = torch.load(whole, weights_only=True)
        torch.save({key: state[key] for key in ("args", "cfg", "model")}, stripped)
        for path in (whole, stripped):
            options = {"bpe_dir": str(bpe), "release_padding": True, "device": torch.get_default_device()}
            model = from_pretrained(path, **options).model
            with torch.no_grad():
                ours = {name: model.embed(name, **raw[name]) for name in ("image", "audio")}
            for name, embeddings in ours.items():
                error = distance(embeddings, recorded[f"{name}_logits"], EMBEDDINGS)
                yield f"checkpoint: {path.stem}: {name} embeddings", error, EMBEDDINGS[0]
            error = distance(model.temperature(), recorded["logit_scale_exp"], EMBEDDINGS)
            yield f"checkpoint: {path.stem}: temperature", error, EMBEDDINGS[0]


def interpolation_cases(recorded: dict[str, Tensor]) -> Iterator[Case]:
    resize = {"rel": resize_distances, "abs": lambda table, grid: resize_positions(table, grid, grid)}
    for key in (key.removesuffix(".in") for key in recorded if key.endswith(".in")):
        kind, _, _, grid = key.split("_")
        ours = resize[kind](recorded[f"{key}.in"], int(grid))
        yield f"upgrade: {key}", float((ours - recorded[f"{key}.out"]).abs().max()), INTERPOLATED


def target_cases(target: Path, source: dict[str, Tensor], raw: dict[str, Tensor]) -> Iterator[Case]:
    info, changed = json.loads((target / "info.json").read_text()), load(target / "new_or_changed.pt")
    vocabulary = len(source["encoder_wrapper.text_adapter.embed_tokens.weight"])
    legacy = {key.replace("rel_pos_table_list.0.weight", "rel_pos_table.weight"): x for key, x in source.items()}
    for name, weights in (("", source), (" from legacy keys", legacy)):
        model = new_model(read_config(target), vocabulary)
        fresh = load_into(model, weights)
        wrong = float(len(fresh ^ set(info["kept_from_fresh_model"])))
        yield f"upgrade: {target.name}: what stays fresh{name}", wrong, 0.0
        expected = {key: changed.get(key, source.get(key)) for key in model.state_dict() if key not in fresh}
        error = worst((model.state_dict()[key] - value).abs().max() for key, value in expected.items())
        yield f"upgrade: {target.name}: every tensor{name}", error, INTERPOLATED
    model.load_state_dict({**model.state_dict(), **{key: changed[key] for key in fresh}}, strict=True)
    reference = load(target / "outputs.pt")
    tolerance = FEATURES if isinstance(model, ClassifyModel) else EMBEDDINGS
    for key, expected in reference.items():
        error = distance(output(key, model, target.name, raw), expected, tolerance)
        yield f"upgrade: {target.name}: {key}", error, tolerance[0]


@torch.no_grad()
def load_into(model: BaseModel, weights: dict[str, Tensor]) -> set[str]:
    """Load a checkpoint's weights; gives the keys of what the model keeps of its own."""
    for parameter in model.parameters():
        parameter.fill_(FRESH)
    model.load_state_dict(dict(weights), strict=True)
    return {key for key, value in model.state_dict().items() if value.isnan().all()}


@torch.no_grad()
def output(key: str, model: BaseModel, target: str, raw: dict[str, Tensor]) -> Tensor:
    """One recorded output of a target, computed anew."""
    images = raw["src_images_larger" if "larger" in target or target == "classify_image" else "src_images"]
    inputs = raw_inputs({**raw, "src_images": images})
    if key == "audio_text_text_logits" or target == "classify_al":
        inputs["text"] = {"values": raw["audio_src_tokens"]}
    if isinstance(model, ClassifyModel):
        others = [{"image": {"values": images.flip(0)}}] if model.concat > 1 else []
        return model({name: inputs[name] for name in model.modalities}, others)[key]
    name = key.removeprefix("audio_text_").removesuffix("_logits")
    return model.embed(name, **inputs[name])
