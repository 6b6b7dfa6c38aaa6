"""The encoder as a whole: combinations, options, presets, freezing."""

import re
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from one_peace.models.base import BaseModel, BaseModelConfig
from one_peace.models.config import merge, resolve
from one_peace.models.encoder import Decoder, Encoder
from one_peace.models.layers.drop_path import DropPath
from one_peace.models.sizes import SIZES

from .conftest import ENCODER, SETTINGS, build

INPUTS = {
    "text": {"values": torch.tensor([[5, 6, 7, 2], [8, 2, 1, 1]])},
    "image": {"values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))},
    "audio": {"values": torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))},
}


@pytest.mark.parametrize("names", [["text"], ["image", "audio"], ["text", "image", "audio"], ["audio", "text"]])
def test_any_combination_in_one_sequence(model, names) -> None:
    with torch.no_grad():
        features = model.encode({name: INPUTS[name] for name in names})
    lengths = {"text": 5, "image": 5, "audio": 13}
    assert {name: tuple(x.shape) for name, x in features.items()} == {n: (2, lengths[n], 32) for n in names}


def test_joint_features_depend_on_every_part_but_not_on_their_order(model) -> None:
    with torch.no_grad():
        base = model.encode(INPUTS)["text"]
        reordered = model.encode({name: INPUTS[name] for name in ("audio", "image", "text")})["text"]
        torch.testing.assert_close(base, reordered, atol=1e-5, rtol=1e-4)
        for name in ("image", "audio"):
            changed = {**INPUTS, name: {"values": -INPUTS[name]["values"]}}
            assert (model.encode(changed)["text"] - base).abs().max() > 1e-3


@pytest.mark.parametrize("per_layer", [False, True])
def test_activation_checkpointing_changes_nothing(per_layer) -> None:
    results = []
    for checkpoint in (False, True):
        model = build(encoder={"checkpoint_activations": checkpoint}, copy_rel_pos_table=per_layer)
        sum(x.square().sum() for x in model.encode(INPUTS).values()).backward()
        results.append({k: p.grad for k, p in model.named_parameters() if p.grad is not None})
    assert results[0].keys() == results[1].keys()
    for key, grad in results[0].items():
        torch.testing.assert_close(grad, results[1][key], atol=1e-5, rtol=1e-4)


def test_drop_path_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.4)
    factors = layer.draw(20000, torch.ones(1))
    assert sorted(factors.unique().tolist()) == [0.0, pytest.approx(1 / 0.6)]
    assert factors.mean() == pytest.approx(1.0, abs=0.02)
    assert layer.eval().draw(20000, torch.ones(1)) is None


def test_drop_path_rate_rises_over_depth() -> None:
    model = build(encoder={"drop_path_rate": 0.3, "layers": 4})
    rates = [layer.drop_path.rate for layer in model.encoder_wrapper.fusion_model.layers]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_shrink_alpha_scales_the_gradient_only() -> None:
    grads, outputs = [], []
    for alpha in (1.0, 0.25):
        model = build(modalities=["text", "image"], encoder={"text_adapter": {"bucket_size": 8, "shrink_alpha": alpha}})
        x = model.encoder_wrapper.adapter("text")(**INPUTS["text"]).x_BLD
        x.sum().backward()
        outputs.append(x.detach())
        grads.append(model.encoder_wrapper.text_adapter.embed_tokens.weight.grad)
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(grads[0] * 0.25, grads[1])


def test_stage_two_trains_the_new_modality_only() -> None:
    model = build(modalities=["text", "audio"], stage2_pretrain=True)
    trained = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    for key, _ in model.named_parameters():
        own = any(part in key for part in ("audio_adapter", "audio_ffn", "audio_layer_norm", "audio_proj"))
        expected = own or not key.startswith(("encoder_wrapper", "text_proj"))
        assert (key in trained) == expected, key


@pytest.mark.parametrize(
    ("size", "millions"),
    [("tiny", (3, 8)), ("small", (35, 65)), ("base", (250, 400)), ("large", (800, 1300)), ("4b", (3300, 4700))],
)
def test_size_presets(size, millions) -> None:
    settings = {"text": {"vocab_size": 50264, "pad": 1}, "image": {"rel_bucket_size": 16}}
    if size == "tiny":
        settings["text"]["vocab_size"] = 1000
    names = ("text", "image", "audio")
    with torch.device("meta"):
        encoder = Encoder(resolve("encoder", SIZES[size]["encoder"], names, settings))
        decoder = Decoder(resolve("decoder", SIZES[size]["decoder"], names, settings, decoder=True))
    assert size != "4b" or SIZES[size]["encoder"]["init_std"] == SIZES[size]["decoder"]["init_std"] == 0.02  # released
    total = sum(p.numel() for part in (encoder, decoder) for p in part.parameters()) / 1e6
    assert millions[0] < total < millions[1], total


@pytest.mark.parametrize("init_std", [0.02, 0.08])
def test_init_is_a_normal_cut_at_one_deviation(init_std: float) -> None:
    changes = {"layers": 1, "init_std": init_std}
    encoder = Encoder(resolve("encoder", merge(SIZES["tiny"]["encoder"], changes), ["text", "image"], SETTINGS))
    for key in (
        "text_adapter.embed_tokens.weight",
        "text_adapter.cls_embedding",
        "fusion_model.layers.0.self_attn.q_proj.weight",
    ):
        value = encoder.get_parameter(key)
        assert 0.25 < value.std() / init_std < 0.8 and value.abs().max() <= init_std, key
    assert not encoder.text_adapter.rel_pos_table_list[0].weight.any()
    assert not encoder.fusion_model.layers[0].self_attn.q_proj.bias.any()


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"layer": 3}, "unknown option encoder.layer; did you mean layers?"),
        ({"layers": "many"}, "encoder.layers='many': expected int"),
        ({"text_adapter": {"bucket_sizes": 8}}, "encoder.text_adapter.bucket_sizes; did you mean bucket_size?"),
        ({"txt_adapter": {}}, "unknown modality 'txt'; did you mean 'text'?"),
        ({"normalize_before": False}, "normalize_before=False: only True is supported"),
        ({"image_adapter": {"vision_encoder_type": "resnet"}}, "one of hmlp, mlp, none"),
        ({"text_adapter": "{bucket_size: [}"}, "encoder.text_adapter: not a mapping"),
    ],
)
def test_wrong_options_are_named(group, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve("encoder", merge(SIZES["tiny"]["encoder"], group), ["text", "image"], SETTINGS)


def test_a_resolved_config_resolves_to_itself() -> None:
    config = resolve("encoder", SIZES["tiny"]["encoder"], ["text", "image", "audio"], SETTINGS)
    assert resolve("encoder", config.to_dict(), ["text", "image", "audio"], SETTINGS) == config


def test_a_checkpoint_config_is_complete() -> None:
    """What is saved does not depend on presets: the resolved groups stand in the config that trainers save."""
    model = build()
    assert OmegaConf.is_config(model.cfg)
    assert model.cfg.encoder.layers == 2 and model.cfg.decoder.text_adapter.use_attn_bias is False


def test_wrong_sizes_of_inputs_are_named(model) -> None:
    with pytest.raises(ValueError, match="built for 32 x 32"):
        model.embed("image", values=torch.randn(1, 3, 48, 48))
    with pytest.raises(ValueError, match=r"no video branch|no image branch"):
        build(modalities=["text", "audio"]).embed("image", values=torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match="padding mask of 9 positions for a sequence of 5"):
        model.embed("text", values=INPUTS["text"]["values"], padding_mask=torch.zeros(2, 9, dtype=torch.bool))


def test_registered_models() -> None:
    """The names users write, in every size."""
    from fairseq.models import ARCH_MODEL_REGISTRY

    for name in ("one_peace_base", "one_peace_retrieval", "one_peace_pretrain", "one_peace_classify"):
        assert name in ARCH_MODEL_REGISTRY and all(f"{name}_{size}" in ARCH_MODEL_REGISTRY for size in SIZES)


def test_the_base_model_gives_joint_features(model) -> None:
    task = SimpleNamespace(modalities=("text", "image", "audio"), adapter_settings=lambda: SETTINGS)
    cfg = OmegaConf.structured(BaseModelConfig(size="tiny", encoder=ENCODER))
    base = BaseModel.build_model(cfg, task).eval()
    base.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        for name, features in base(INPUTS).items():
            torch.testing.assert_close(features, model.encode(INPUTS)[name])
