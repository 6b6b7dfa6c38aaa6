"""Padding never changes a result: a padded batch gives what each sample gives alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from one_peace.data.collate import collate_masks, padding_mask
from one_peace.data.masking import random_mask
from one_peace.modalities.audio.conv_spec import conv_output_length, parse_conv_spec

from .conftest import ENCODER, build

SPEC = parse_conv_spec(ENCODER["audio_adapter"]["feature_encoder_spec"])
MODEL = build().double()
EVEN = build(
    encoder={"audio_adapter": {**ENCODER["audio_adapter"], "conv_pos_depth": 2, "conv_pos_width": 32}}
).double()


def text(length: int) -> torch.Tensor:
    return torch.randint(2, 30, (length,))


def sound(frames: int) -> torch.Tensor:
    samples = 400 + 320 * (frames - 1)
    assert conv_output_length(samples, SPEC) == frames
    return torch.randn(samples, dtype=torch.float64)


def batch(kind: str, values: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    fill = 1 if kind == "text" else 0
    padded = torch.nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=fill)
    lengths = [len(v) if kind == "text" else conv_output_length(len(v), SPEC) for v in values]
    return {"values": padded, "padding_mask": padding_mask(lengths)}


LENGTHS = st.lists(st.integers(1, 12), min_size=2, max_size=4)
MANY = settings(max_examples=30)


@pytest.mark.parametrize("kind", ["text", "audio"])
@MANY
@given(lengths=LENGTHS, seed=st.integers(0, 1000))
def test_embeddings(kind: str, lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    values = [(text if kind == "text" else sound)(n) for n in lengths]
    for model in (MODEL, EVEN):
        with torch.no_grad():
            together = model.embed(kind, **batch(kind, values))
            alone = torch.cat([model.embed(kind, **batch(kind, [v])) for v in values])
        torch.testing.assert_close(together, alone, atol=1e-9, rtol=0)


@MANY
@given(lengths=LENGTHS, seed=st.integers(0, 1000))
def test_joint_features_and_students(lengths: list[int], seed: int) -> None:
    """Text + image + audio in one sequence, masked and decoded: the padded batch equals single samples."""
    torch.manual_seed(seed)
    values = {
        "text": [text(n) for n in lengths],
        "image": [torch.randn(3, 32, 32, dtype=torch.float64) for _ in lengths],
        "audio": [sound(n + 2) for n in lengths],
    }
    units = {"text": lengths, "image": [4] * len(lengths), "audio": [n + 2 for n in lengths]}
    masks = {name: [random_mask(n, 0.5) for n in units[name]] for name in values}

    def run(rows: list[int]) -> dict[str, torch.Tensor]:
        inputs = {
            name: {"values": torch.stack([v[i] for i in rows])}
            if name == "image"
            else batch(name, [v[i] for i in rows])
            for name, v in values.items()
        }
        chosen = {name: collate_masks([m[i] for i in rows]) for name, m in masks.items()}
        with torch.no_grad():
            kept = MODEL.encode(inputs, {name: mask["keep_ids"] for name, mask in chosen.items()})
            names, masks_of = tuple(kept), {"+".join(kept): chosen}
            students = MODEL.decode({names: kept}, masks_of, MODEL.paddings(inputs), masked_only=False)[names]
            return {**{f"student {k}": v for k, v in students.items()}, **MODEL.encode(inputs)}

    together = run(list(range(len(lengths))))
    for i in range(len(lengths)):
        for key, alone in run([i]).items():
            real = alone.shape[1]
            torch.testing.assert_close(together[key][i, :real], alone[0], atol=1e-8, rtol=1e-8)


def test_release_padding_leaks() -> None:
    """The option that reproduces the release does let neighbours in; otherwise it would hide nothing."""
    torch.manual_seed(0)
    leaking = build(release_padding=True).double()
    values = [sound(4), sound(30)]
    with torch.no_grad():
        together = leaking.embed("audio", **batch("audio", values))
        alone = leaking.embed("audio", **batch("audio", values[:1]))
    assert (together[:1] - alone).abs().max() > 1e-3
