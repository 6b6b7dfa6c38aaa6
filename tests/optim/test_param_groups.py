"""Parameter groups: the recorded ones, and the rule for modalities that nobody recorded."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from one_peace.optim import parameter_groups, tag_parameters
from tests.golden import golden_path
from tests.parity_optim import group_error


def grouped(shapes: dict[str, tuple[int, ...]], **options) -> dict[str, dict]:
    """Parameter name -> its group, from names and shapes."""
    named = {name: Parameter(torch.empty(shape, device="meta")) for name, shape in shapes.items()}
    tag_parameters(named.items())
    groups = parameter_groups(named.values(), weight_decay=0.05, **options)
    return {name: group for name, p in named.items() for group in groups if any(p is q for q in group["params"])}


def test_recorded_groups() -> None:
    files = sorted(golden_path().glob("*/param_groups*.json"))
    assert files
    assert {file.parent.name: group_error(file) for file in files} == {file.parent.name: 0.0 for file in files}


def test_default_exempts_what_the_release_forgot_and_nothing_else() -> None:
    forgotten = ("decoder_wrapper.text_adapter.cls_embedding", "decoder_wrapper.image_adapter.pos_embed")
    shapes = {
        **dict.fromkeys(forgotten, (1, 1, 8)),
        "decoder_wrapper.audio_adapter.cls_embedding": (1, 1, 8),
        "encoder_wrapper.text_adapter.embed_tokens.weight": (9, 8),
    }
    default, release = grouped(shapes), grouped(shapes, release_decay_list=True)
    changed = {name for name in shapes if default[name]["weight_decay"] != release[name]["weight_decay"]}
    assert changed == set(forgotten)
    assert all(default[name]["weight_decay"] == 0.0 for name in forgotten)


@given(modality=st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True), coder=st.sampled_from(["encoder", "decoder"]))
def test_a_new_modality_follows_the_same_rule(modality: str, coder: str) -> None:
    adapter = f"{coder}_wrapper.{modality}_adapter"
    shapes = {
        f"{adapter}.cls_embedding": (1, 1, 8),
        f"{adapter}.embed_positions.weight": (20, 8),
        f"{adapter}.pos_embed": (20, 8),
        f"{adapter}.stem.bias": (8,),
        f"{adapter}.embed_positions.0.0.weight": (8, 1, 3),
        f"{adapter}.cls_pos_embed": (1, 1, 8),
        f"{adapter}.type_embedding": (1, 1, 8),
        f"{adapter}.stem.weight": (8, 3),
        f"{adapter}.rel_pos_table_list.0.weight": (30, 2),
        f"{modality}_mask_token": (1, 8),
        f"{coder}_wrapper.fusion_model.layers.0.{modality}_ffn.3.weight": (8, 8),
    }
    decays = [group["weight_decay"] > 0 for group in grouped(shapes).values()]
    assert decays == [False] * 4 + [True] * 7


@given(layers=st.integers(1, 48), decay=st.floats(0.5, 1.0))
def test_layerwise_scales(layers: int, decay: float) -> None:
    names = [f"encoder_wrapper.fusion_model.layers.{i}.video_ffn.3.weight" for i in range(layers)]
    tables = [f"encoder_wrapper.video_adapter.rel_pos_table_list.{i}.weight" for i in range(layers)]
    rest = ["encoder_wrapper.fusion_model.video_layer_norm.weight", "video_proj.weight", "logit_scale"]
    decoder = "decoder_wrapper.fusion_model.layers.0.video_ffn.3.weight"
    adapter = "encoder_wrapper.video_adapter.embed.weight"
    groups = grouped(dict.fromkeys([*names, *tables, *rest, decoder, adapter], (2, 2)), layer_decay=decay)
    assert [groups[name]["lr_scale"] for name in names] == [decay ** (layers - i) for i in range(layers)]
    assert [groups[name]["lr_scale"] for name in tables] == [groups[name]["lr_scale"] for name in names]
    assert groups[adapter]["lr_scale"] == decay ** (layers + 1)
    assert {groups[name]["lr_scale"] for name in [*rest, decoder]} == {1.0}


def test_an_untagged_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\).*--fp16-no-flatten-grads"):
        parameter_groups([Parameter(torch.zeros(3))], weight_decay=0.05)
