"""The classification model: what is pooled, several passes, repeated rows; the fast path against the reference."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from one_peace.data.collate import padding_mask
from one_peace.models.classify import AttentionPooling

from .conftest import build_classifier

TYPED = {"text_adapter": {"bucket_size": 8, "add_type_embedding": True}, "image_adapter": {"add_type_embedding": True}}


def text(lengths: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(2, 30, (n,), generator=generator) for n in lengths]
    return {"values": nn.utils.rnn.pad_sequence(rows, True, 1), "padding_mask": padding_mask(lengths)}


def picture(rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    return {"values": torch.randn(rows, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))}


def sound(rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    return {"values": torch.randn(rows, 4000, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))}


def rows(raw: dict[str, torch.Tensor], chosen) -> dict[str, torch.Tensor]:
    return {key: x[chosen] for key, x in raw.items()}


def step(model, *args) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    """Logits, and the gradients of a loss that depends on all of them."""
    logits = model(*args)["logits"]
    torch.manual_seed(1)
    (logits * torch.randn_like(logits)).sum().backward()
    return logits.detach(), {key: parameter.grad for key, parameter in model.named_parameters()}


OPTIONS = [
    {},
    {"attn_pooling": False},
    {"use_image_features": True, "use_pooler": True},
    {"use_image_features": True, "attn_pooling": False},
    {"passes": 2, "encoder": TYPED},
    {"passes": 2, "use_image_features": True, "encoder": {"checkpoint_activations": True}},
    {"features": "mean"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@settings(max_examples=4)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_the_fast_path_is_that_of_the_reference(options: dict, lengths: list[int], seed: int) -> None:
    size = len(lengths)
    others = [{"image": picture(size, seed + 1)}] if {"passes", "features"} & options.keys() else []
    batch = ({"text": text(lengths, seed), "image": picture(size, seed)}, others)
    results = [step(build_classifier(reference=reference, **options), *batch) for reference in (False, True)]
    (fast, fast_grads), (plain, plain_grads) = results
    torch.testing.assert_close(fast, plain, atol=1e-10, rtol=1e-8)
    for key, grad in plain_grads.items():
        if grad is None:
            assert fast_grads[key] is None and not options.get("attn_pooling", True) and "classify_head.norm" in key
        else:
            torch.testing.assert_close(
                fast_grads[key], grad, atol=1e-9, rtol=1e-7, msg=lambda m, key=key: f"{key}: {m}"
            )


@pytest.mark.parametrize("pooled", ["text", "image"])
def test_what_is_not_pooled_has_gradients_that_are_zero(pooled: str) -> None:
    """Weight decay still acts on it, and every rank has the same gradients to reduce."""
    model = build_classifier(use_image_features=pooled == "image")
    _, grads = step(model, {"text": text([3, 2]), "image": picture(2)})
    other = {"text": "image", "image": "text"}[pooled]
    zero = {key for key, grad in grads.items() if not grad.any()}
    last = f"encoder_wrapper.fusion_model.layers.1.{other}_ffn."
    assert zero == {
        *(key for key in grads if key.startswith(last)),
        f"encoder_wrapper.fusion_model.{other}_layer_norm.weight",
        f"encoder_wrapper.fusion_model.{other}_layer_norm.bias",
        f"encoder_wrapper.{other}_adapter.rel_pos_table_list.1.weight",
    }


def test_every_layer_has_a_table() -> None:
    tables = [key for key in build_classifier().state_dict() if "rel_pos_table_list" in key]
    assert len(tables) == 4


@pytest.mark.parametrize("use_image_features", [False, True])
@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 9), min_size=2, max_size=4), seed=st.integers(0, 999))
def test_padding_changes_nothing(use_image_features: bool, lengths: list[int], seed: int) -> None:
    model, batch = build_classifier(use_image_features=use_image_features), text(lengths, seed)
    pictures = picture(len(lengths), seed)
    with torch.no_grad():
        together = model({"text": batch, "image": pictures})["logits"]
        for i, length in enumerate(lengths):
            alone = {key: x[i : i + 1, : length + (key == "padding_mask")] for key, x in batch.items()}
            logits = model({"text": alone, "image": rows(pictures, [i])})["logits"]
            torch.testing.assert_close(together[i : i + 1], logits, atol=1e-9, rtol=1e-8)


def test_attention_pooling_is_one_query_of_multi_head_attention() -> None:
    """PyTorch's own, fed a query that undoes its scaling, with a key bias of 0."""
    torch.manual_seed(0)
    pooling, padding_BL = AttentionPooling(12, 3).double(), padding_mask([4, 2])[:, 1:]
    nn.init.normal_(pooling.q)
    reference = nn.MultiheadAttention(12, 3, batch_first=True).double()
    with torch.no_grad():
        parts = [torch.eye(12, dtype=torch.float64), pooling.k_proj.weight, pooling.v_proj.weight]
        reference.in_proj_weight.copy_(torch.cat(parts))
        reference.in_proj_bias.copy_(torch.cat([torch.zeros(24), pooling.v_proj.bias]))
        reference.out_proj.load_state_dict(pooling.out_proj.state_dict())
        x_BLD = torch.randn(2, 4, 12, dtype=torch.float64)
        query = pooling.q.flatten().expand(2, 1, -1) * 4**0.5
        expected, _ = reference(query, x_BLD, x_BLD, key_padding_mask=padding_BL)
        torch.testing.assert_close(pooling(x_BLD, padding_BL), expected[:, 0])


def test_attention_pooling_leaves_cls_out() -> None:
    model = build_classifier(["image"])
    features = torch.randn(2, 5, 32, dtype=torch.float64)
    changed = features.clone()
    changed[:, 0] += 1
    torch.testing.assert_close(model.classify_head.pool(features, None), model.classify_head.pool(changed, None))


# -- several passes ---------------------------------------------------------------------------------------------------


def test_two_pictures_are_two_joint_sequences_whose_pooled_texts_stand_side_by_side() -> None:
    pair = build_classifier(passes=2)
    one = build_classifier(classes=1)
    one.load_state_dict({**pair.state_dict(), **{k: v for k, v in one.state_dict().items() if ".classifier." in k}})
    words, first, second = text([3, 5]), picture(2, 1), picture(2, 2)
    pooled = []
    one.classify_head.classifier.register_forward_pre_hook(lambda _, args: pooled.append(args[0]))
    with torch.no_grad():
        for image in (first, second):
            one({"text": words, "image": image})
        expected = pair.classify_head.classifier(torch.cat(pooled, dim=1))
        torch.testing.assert_close(pair({"text": words, "image": first}, [{"image": second}])["logits"], expected)


def test_the_second_picture_is_marked_as_the_second() -> None:
    model, batch = build_classifier(passes=2, encoder=TYPED), {"text": text([3]), "image": picture(1)}
    pooled = []
    model.classify_head.classifier.register_forward_pre_hook(lambda _, args: pooled.append(args[0]))
    with torch.no_grad():
        model(batch, [{"image": batch["image"]}])
        first, second = pooled.pop().chunk(2, dim=1)
        assert (first - second).abs().max() > 1e-3
        model.encoder_wrapper.image_adapter.type_embedding_2.zero_()
        model(batch, [{"image": batch["image"]}])
        first, second = pooled.pop().chunk(2, dim=1)
        torch.testing.assert_close(first, second)


def test_frames_are_averaged_in_any_number_and_order_and_none_is_marked() -> None:
    model = build_classifier(["audio", "image"], features="mean", encoder={"image_adapter": TYPED["image_adapter"]})
    sounds, frames = sound(2), [picture(2, seed) for seed in range(3)]
    with torch.no_grad():
        one, several = ({"audio": sounds, "image": frame} for frame in (frames[0], frames[1]))
        still = [{"image": frames[0]}] * 2
        torch.testing.assert_close(model(one, still)["logits"], model(one)["logits"])
        ahead = model(one, [{"image": frames[1]}, {"image": frames[2]}])["logits"]
        back = model(several, [{"image": frames[2]}, {"image": frames[0]}])["logits"]
        torch.testing.assert_close(ahead, back)
        assert (ahead - model(one)["logits"]).abs().max() > 1e-3


def test_what_passes_have_in_common_is_embedded_once(monkeypatch) -> None:
    model, calls = build_classifier(passes=2), []
    for name in model.modalities:
        adapter = model.encoder_wrapper.adapter(name)
        monkeypatch.setattr(adapter, "stem", lambda *a, stem=adapter.stem, name=name: calls.append(name) or stem(*a))
    model({"text": text([3, 2]), "image": picture(2)}, [{"image": picture(2, 1)}])
    assert sorted(calls) == ["image", "image", "text"]


# -- repeated rows ----------------------------------------------------------------------------------------------------


@settings(max_examples=5)
@given(sounds=st.integers(1, 3), choices=st.integers(2, 4))
def test_fewer_sounds_than_texts_are_repeated_side_by_side(sounds: int, choices: int) -> None:
    model = build_classifier(["text", "audio"], classes=1)
    words, few = text([2 + i % 4 for i in range(sounds * choices)]), sound(sounds)
    few["padding_mask"] = padding_mask([12] * sounds)
    many = {key: x.repeat_interleave(choices, dim=0) for key, x in few.items()}
    with torch.no_grad():
        torch.testing.assert_close(
            model({"text": words, "audio": few})["logits"], model({"text": words, "audio": many})["logits"]
        )


def test_repeated_rows_go_through_the_stem_once() -> None:
    model, sizes = build_classifier(["text", "audio"], classes=1), []
    model.encoder_wrapper.audio_adapter.embed_audios[3].register_forward_hook(
        lambda _, args, out: sizes.append(len(out))
    )
    model({"text": text([3] * 8), "audio": sound(2)})
    assert sizes == [2]


# -- errors -----------------------------------------------------------------------------------------------------------


def test_wrong_batches_and_options_are_named() -> None:
    words, pictures = text([3, 2]), picture(2)
    with pytest.raises(ValueError, match="a batch without image; this model reads text, image"):
        build_classifier()({"text": words})
    with pytest.raises(ValueError, match="3 inputs of image for 4 of another modality"):
        build_classifier()({"text": text([1, 2, 3, 4]), "image": picture(3)})
    with pytest.raises(ValueError, match="a batch of 1 passes; this task classifies 2 together"):
        build_classifier(passes=2)({"text": words, "image": pictures})
    with pytest.raises(ValueError, match="use_image_features: this task reads audio alone"):
        build_classifier(["audio"], use_image_features=True)
    with pytest.raises(ValueError, match="pass_features='sum': one of concat, mean"):
        build_classifier(features="sum")
