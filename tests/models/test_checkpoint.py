"""Checkpoints of other stages, of the release, and merged ones."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu
from fairseq.criterions import CRITERION_REGISTRY
from omegaconf import OmegaConf

from one_peace import criterions  # noqa: F401  (register)
from one_peace.models import merge
from one_peace.models.merge import merge_checkpoints
from one_peace.models.retrieval import RetrievalModel, RetrievalModelConfig

from .conftest import SETTINGS, build, build_classifier


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


@pytest.mark.parametrize("for_evaluation", [False, True])
def test_a_released_file_may_lack_the_temperature(for_evaluation: bool) -> None:
    model = build()
    initial, state = model.logit_scale.item(), {key: value + 1 for key, value in model.state_dict().items()}
    del state["logit_scale"]
    model.for_evaluation = for_evaluation
    model.load_state_dict(dict(state))
    assert model.logit_scale.item() == initial
    assert torch.equal(model.text_proj.weight, state["text_proj.weight"])


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


def test_a_stage_two_checkpoint_loads_into_stage_two() -> None:
    before, after = (build(modalities=["text", "audio"], stage2_pretrain=True) for _ in range(2))
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.add_(1)
    after.load_state_dict(before.state_dict(), strict=True)
    for key, value in after.state_dict().items():
        assert torch.equal(value, before.state_dict()[key]), key


def test_a_table_a_layer_is_not_thrown_away() -> None:
    own, shared = build(copy_rel_pos_table=True), build()
    with pytest.raises(ValueError, match=r"position table a layer \(.*list\.1.*use copy_rel_pos_table"):
        shared.load_state_dict(own.state_dict())
    same = {key: own.state_dict()[key.replace("list.1", "list.0")] for key in own.state_dict()}
    shared.load_state_dict(same)


# -- classification ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [1, 3, 5])
@pytest.mark.parametrize("fixed_bucket", [False, True])
def test_pictures_of_another_size(grid: int, fixed_bucket: bool, caplog) -> None:
    """Tables are interpolated, then copied to every layer; where the option fixes it, absolute ones at run-time."""
    encoder = {"image_adapter": {"bucket_size": 2}} if fixed_bucket else {}
    source, target = build(modalities=["text", "image"]), build_classifier(grid=grid, encoder=encoder)
    with caplog.at_level(logging.INFO):
        target.load_state_dict(source.state_dict(), strict=True)
    assert "fitted to data of another size" in caplog.text
    state, prefix = target.state_dict(), "encoder_wrapper.image_adapter."
    first = state[f"{prefix}rel_pos_table_list.0.weight"]
    old = source.state_dict()[f"{prefix}rel_pos_table_list.0.weight"].double()
    assert torch.equal(first, state[f"{prefix}rel_pos_table_list.1.weight"])
    assert torch.equal(first[-3:], old[-3:])  # those of CLS
    middle = (2 * grid - 1) ** 2 // 2
    torch.testing.assert_close(first[middle], old[4])  # no distance
    assert len(state[f"{prefix}pos_embed"]) == (5 if fixed_bucket else grid**2 + 1)
    with torch.no_grad():
        side = 16 * grid
        batch = {
            "text": {"values": torch.tensor([[5, 6, 2]])},
            "image": {"values": torch.randn(1, 3, side, side).double()},
        }
        assert target(batch)["logits"].isfinite().all()


@pytest.mark.parametrize("sides", [{"grid_height": 2}, {"grid_width": 1}], ids=str)
def test_rectangles_take_the_tables_of_squares(sides: dict[str, int]) -> None:
    source, encoder = build(modalities=["text", "image"]), {"image_adapter": sides}
    targets = [build_classifier(grid=3, encoder=encoder, reference=reference) for reference in (False, True)]
    for target in targets:
        target.load_state_dict(source.state_dict(), strict=True)
    size = [16 * sides.get(name, 3) for name in ("grid_height", "grid_width")]
    batch = {"text": {"values": torch.tensor([[5, 6, 2]])}, "image": {"values": torch.randn(1, 3, *size).double()}}
    with torch.no_grad():
        torch.testing.assert_close(targets[0](batch)["logits"], targets[1](batch)["logits"])
        batch["image"]["values"] = batch["image"]["values"].mT
        with pytest.raises(ValueError, match="built for"):
            target(batch)


def test_pretraining_heads_are_dropped_and_a_fresh_head_is_kept(caplog) -> None:
    source, target = build(modalities=["text", "image"]), build_classifier()
    head = {key: value.clone() for key, value in target.classify_head.state_dict().items()}
    with caplog.at_level(logging.INFO):
        target.load_state_dict(source.state_dict(), strict=True)
    for key, value in target.classify_head.state_dict().items():
        assert torch.equal(value, head[key])
    dropped, fresh = ([line for line in caplog.messages if part in line] for part in ("dropped", "initial values"))
    assert "mask_head" in dropped[0] and "decoder" in dropped[0] and "classify_head" in fresh[0]


def test_other_classes_need_a_word() -> None:
    many, few = build_classifier(classes=9), build_classifier(classes=5)
    with pytest.raises(ValueError, match=r"differ in classify_head\.classifier\.3\.weight.*reset_head"):
        few.load_state_dict(many.state_dict())
    reset = build_classifier(classes=5, reset_head=True)
    last = reset.classify_head.classifier[3].weight.clone()
    reset.load_state_dict(many.state_dict())
    assert torch.equal(reset.classify_head.classifier[3].weight, last)
    resumed = build_classifier(classes=5, reset_head=True)
    resumed.load_state_dict({key: value + 1 for key, value in reset.state_dict().items()})
    assert torch.equal(resumed.classify_head.classifier[3].weight, last + 1)


# -- refused ----------------------------------------------------------------------------------------------------------


def test_another_width_is_named() -> None:
    with pytest.raises(ValueError, match=r"differ in .*: .* against .*use the size"):
        build(encoder={"embed_dim": 16}).load_state_dict(build().state_dict())


@pytest.mark.parametrize("layers", [1, 3])
def test_another_number_of_layers_is_named(layers: int) -> None:
    with pytest.raises(ValueError, match=rf"the checkpoint has 2 layers, this model {layers}"):
        build(encoder={"layers": layers}).load_state_dict(build().state_dict())


def test_stage_two_does_not_keep_what_was_never_learnt() -> None:
    stage2 = build(modalities=["text", "audio"], stage2_pretrain=True)
    with pytest.raises(ValueError, match=r"lacks \d+ parameters of this model, and stage 2 keeps them.*text"):
        stage2.load_state_dict(build(modalities=["image", "audio"]).state_dict())
    assert not stage2.loaded


def test_what_is_evaluated_was_learnt() -> None:
    """A decoder that is missing has no part in an embedding."""
    source, target = build(modalities=["text", "image"]), build(modalities=["text", "image"])
    target.for_evaluation = True
    whole = source.state_dict()
    target.load_state_dict({key: value for key, value in whole.items() if not key.startswith("decoder")})
    with pytest.raises(ValueError, match=r"lacks \d+ parameters of this model.*not trained any more: .*image"):
        target.load_state_dict({key: value for key, value in whole.items() if "image" not in key})
    head = build_classifier()
    head.for_evaluation = True
    with pytest.raises(ValueError, match="classify_head"):
        head.load_state_dict(whole)


def test_merging_damaged_files_ends_in_one_line(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "1.pt").write_bytes(b"PK")
    monkeypatch.setattr("sys.argv", ["merge", str(tmp_path / "1.pt"), "--out", str(tmp_path / "out.pt")])
    assert merge.main() == 1 and "1.pt: not a checkpoint: it holds more" in capsys.readouterr().err
    save(build(["text", "image"]), tmp_path / "1.pt")
    (tmp_path / "out.pt").mkdir()
    assert merge.main() == 1 and "merge: " in capsys.readouterr().err


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


def test_fairseq_reads_merged_checkpoints(tmp_path) -> None:
    """Of a single file too, without what fairseq writes beside weights and settings."""
    merged = merge_checkpoints([save(build(["text", "image"]), tmp_path / "1.pt")])
    torch.save(merged, tmp_path / "merged.pt")
    state = load_checkpoint_to_cpu(str(tmp_path / "merged.pt"))
    assert state["cfg"].criterion._name in CRITERION_REGISTRY and state["model"].keys() == merged["model"].keys()


def test_unrelated_checkpoints_are_not_merged(tmp_path) -> None:
    stage1, other = build(modalities=["text", "image"]), build(modalities=["text", "audio"])
    with torch.no_grad():
        other.text_proj.bias.add_(1)
    with pytest.raises(ValueError, match=r"2\.pt: .* differs from .*1\.pt"):
        merge_checkpoints([save(stage1, tmp_path / "1.pt"), save(other, tmp_path / "2.pt")])


def test_stages_of_different_vocabularies_are_not_merged(tmp_path) -> None:
    stage1, stage2 = build(["text", "image"]), build(["text", "audio"], stage2_pretrain=True)
    stage2.load_state_dict(stage1.state_dict())
    paths = [save(stage1, tmp_path / "1.pt"), save(stage2, tmp_path / "2.pt")]
    for path, vocabulary in zip(paths, ("first", "second"), strict=True):
        state = torch.load(path, weights_only=True)
        state["cfg"]["model"]["encoder"]["text_adapter"]["vocabulary"] = vocabulary
        torch.save(state, path)
    with pytest.raises(ValueError, match="not the vocabulary of the checkpoint"):
        merge_checkpoints(paths)
    assert merge_checkpoints(paths[1:])["model"]


def build_retrieval(merged: dict) -> RetrievalModel:
    cfg = OmegaConf.structured(RetrievalModelConfig(size="tiny"))
    cfg.encoder = merged["cfg"]["model"]["encoder"]
    task = SimpleNamespace(modalities=("text", "image", "audio"), adapter_settings=lambda: SETTINGS)
    model = RetrievalModel.build_model(cfg, task)
    model.load_state_dict(merged["model"], strict=True)
    return model.eval()
