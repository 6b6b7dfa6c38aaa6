"""Nested groups on the flat command line."""

import argparse
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from one_peace.models import ClassifyModel
from one_peace.models.flags import Group, parse_mapping

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6)
    | st.text("abc ()[]{},:'\"*+=\\-0123456789", max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner),
    max_leaves=8,
)


def through_hydra(group: Group) -> dict:
    return OverridesParser.create().parse_override(f"model.encoder={group}").value()


def test_a_mapping_as_text() -> None:
    text = "{layers: 6, drop_path_rate: 1e-1, text_adapter: {use_attn_bias: true, names: [a, 2]}, path: null}"
    expected = {
        "layers": 6,
        "drop_path_rate": 0.1,
        "text_adapter": {"use_attn_bias": True, "names": ["a", 2]},
        "path": None,
    }
    assert parse_mapping(text) == expected
    assert parse_mapping(str(Group(text))) == expected


def test_a_convolution_spec_survives() -> None:
    spec = "[(512, 10, 5)] + [(512, 3, 2)] * 4"
    assert parse_mapping(str(Group(f"{{audio_adapter: {{feature_encoder_spec: '{spec}'}}}}"))) == {
        "audio_adapter": {"feature_encoder_spec": spec}
    }


def test_a_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "encoder.yaml").write_text("layers: 2\nimage_adapter:\n  vision_encoder_type: mlp\n")
    group = Group(str(tmp_path / "encoder.yaml"))
    assert parse_mapping(str(group)) == {"layers": 2, "image_adapter": {"vision_encoder_type": "mlp"}}


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=4))
def test_values_survive_the_way_to_hydra(values: dict) -> None:
    from one_peace.models.flags import _literal

    assert parse_mapping(_literal(values)) == values


@pytest.mark.parametrize("text", ["{layers: ", "layers", "[1, 2]", "{a: 1} {b: 2}", "nowhere.yaml"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"mapping|no such file"):
        Group(text)


def test_what_is_on_by_default_is_turned_off_by_no() -> None:
    parser = argparse.ArgumentParser()
    ClassifyModel.add_args(parser)
    chosen = [parser.parse_args(words).attn_pooling for words in ([], ["--attn-pooling"], ["--no-attn-pooling"])]
    assert chosen == [True, True, False]
