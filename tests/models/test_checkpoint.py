"""Checkpoints of other stages, of the release, and merged ones."""

import logging
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from one_peace.models.merge import merge_checkpoints
from one_peace.models.retrieval import RetrievalModel, RetrievalModelConfig

from .conftest import SETTINGS, build


def save(model, path: Path) -> Path:
    cfg = {"model": OmegaConf.to_container(model.cfg), "task": {"bpe_dir": "bpe", "max_duration": None}}
    torch.save({"cfg": cfg, "model": model.state_dict()}, path)
    return path


def test_a_new_modality_starts_fresh_and_the_rest_is_kept(caplog) -> None:
    stage1 = build(modalities=["text", "image"])
    stage2 = build(modalities=["text", "audio"], stage2_pretrain=True)
    before = {k: v.clone() for k, v in stage2.state_dict().items()}
    with caplog.at_level(logging.INFO):
        stage2.load_state_dict({k: v + 1 for k, v in stage1.state_dict().items()}, strict=True)
    for key, value in stage2.state_dict().items():
        expected = stage1.state_dict()[key] + 1 if key in stage1.state_dict() else before[key]
        torch.testing.assert_close(value, expected)
    assert "not in this model, dropped" in caplog.text and "kept at their initial values" in caplog.text


def test_the_temperature_is_reset_at_the_start_and_kept_on_resume() -> None:
    stage1 = build(modalities=["text", "image"])
    stage2 = build(modalities=["text", "audio"], reset_logit_scale=True)
    stage2.load_state_dict(stage1.state_dict())
    assert stage2.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    with torch.no_grad():
        stage2.logit_scale.fill_(1.5)
    resumed = build(modalities=["text", "audio"], reset_logit_scale=True)
    resumed.load_state_dict(stage2.state_dict())
    assert resumed.logit_scale.item() == 1.5


def test_a_shared_table_is_copied_to_every_layer() -> None:
    shared, own = build(), build(copy_rel_pos_table=True)
    state = shared.state_dict()
    state["encoder_wrapper.text_adapter.rel_pos_table.weight"] = state.pop(
        "encoder_wrapper.text_adapter.rel_pos_table_list.0.weight"
    )
    own.load_state_dict(state)
    with torch.no_grad():
        inputs = {"text": {"values": torch.tensor([[5, 6, 7, 2]])}}
        torch.testing.assert_close(own.encode(inputs)["text"], shared.encode(inputs)["text"])


def test_another_width_is_named() -> None:
    with pytest.raises(ValueError, match=r"differ in .*: .* against .*use the size"):
        build(encoder={"embed_dim": 16}).load_state_dict(build().state_dict())


def test_merged_stages_give_the_same_embeddings(tmp_path) -> None:
    stage1 = build(modalities=["text", "image"])
    stage2 = build(modalities=["text", "audio"], stage2_pretrain=True, reset_logit_scale=True)
    stage2.load_state_dict(stage1.state_dict())
    merged = merge_checkpoints([save(stage1, tmp_path / "1.pt"), save(stage2, tmp_path / "2.pt")])
    model = build_retrieval(merged)
    with torch.no_grad():
        image, audio = torch.randn(1, 3, 32, 32), torch.randn(1, 4000)
        torch.testing.assert_close(model.embed("image", values=image), stage1.embed("image", values=image))
        torch.testing.assert_close(model.embed("audio", values=audio), stage2.embed("audio", values=audio))
    assert not any(key.startswith("decoder") for key in merged["model"])


def test_unrelated_checkpoints_are_not_merged(tmp_path) -> None:
    stage1, other = build(modalities=["text", "image"]), build(modalities=["text", "audio"])
    with torch.no_grad():
        other.text_proj.bias.add_(1)
    with pytest.raises(ValueError, match=r"2\.pt: .* differs from .*1\.pt"):
        merge_checkpoints([save(stage1, tmp_path / "1.pt"), save(other, tmp_path / "2.pt")])


def build_retrieval(merged: dict) -> RetrievalModel:
    cfg = OmegaConf.structured(RetrievalModelConfig(size="tiny"))
    cfg.encoder = merged["cfg"]["model"]["encoder"]
    task = SimpleNamespace(modalities=("text", "image", "audio"), adapter_settings=lambda: SETTINGS)
    model = RetrievalModel.build_model(cfg, task)
    model.load_state_dict(merged["model"], strict=True)
    return model.eval()
