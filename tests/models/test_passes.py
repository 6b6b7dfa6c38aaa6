"""The fast path against the reference path: the same features, losses and gradients; only the work differs."""

import gc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from one_peace.criterions.contrastive import targets
from one_peace.data.collate import collate_masks, padding_mask
from one_peace.data.masking import random_mask
from one_peace.models.fusion import Pass
from tests.criterions.reference import PeakBytes

from .conftest import ENCODER, build

TEACHERS = {("text",): ("text",), ("image",): ("image",), ("text", "image"): ("text", "image")}
OPTIONS = [
    {},
    {"scale_heads": True, "scale_attn": True},
    {"magneto_scale_attn": False, "scale_fc": False},
    {"use_layer_scale": False, "checkpoint_activations": True},
]


def batch(lengths: list[int], seed: int) -> tuple[dict, dict]:
    """Text of several lengths with pictures, and their masks."""
    torch.manual_seed(seed)
    text = torch.nn.utils.rnn.pad_sequence([torch.randint(2, 30, (n,)) for n in lengths], True, 1)
    inputs = {
        "text": {"values": text, "padding_mask": padding_mask(lengths)},
        "image": {"values": torch.randn(len(lengths), 3, 32, 32, dtype=torch.float64)},
    }

    def masks() -> dict:
        return {
            "text": collate_masks([random_mask(n, 0.5) for n in lengths]),
            "image": collate_masks([random_mask(4, 0.5) for _ in lengths]),
        }

    alone = masks()
    return inputs, {"text": {"text": alone["text"]}, "image": {"image": alone["image"]}, "text+image": masks()}


def run(model, inputs: dict, masks: dict, anchor_grad: bool = True) -> tuple[dict, dict]:
    """Everything a step computes, and every gradient of a loss that depends on all of it."""
    out = model(inputs, masks, TEACHERS, anchor_grad)
    flat = {f"embedding {name}": x for name, x in out["embeddings"].items()}
    for kind in ("students", "teachers"):
        flat |= {f"{kind} {names} {n}": x for names, xs in out[kind].items() for n, x in xs.items()}
    torch.manual_seed(1)
    loss = sum((x * torch.randn_like(x)).sum() for x in flat.values() if x.requires_grad)
    model.zero_grad()
    loss.backward()
    return {k: x.detach() for k, x in flat.items()}, {k: p.grad for k, p in model.named_parameters()}


def assert_alike(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key, x in theirs.items():
        if x is None:
            assert ours[key] is None, key
        else:
            torch.testing.assert_close(ours[key], x, atol=1e-9, rtol=1e-7, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "+".join(o) or "released")
@settings(max_examples=5, deadline=None)
@given(lengths=st.lists(st.integers(2, 7), min_size=1, max_size=3), seed=st.integers(0, 99), anchor=st.booleans())
def test_a_step_is_that_of_the_reference(options: dict, lengths: list[int], seed: int, anchor: bool) -> None:
    inputs, masks = batch(lengths, seed)
    decoder = {"layers": 2, "scale_heads": options.get("scale_heads", False)}
    fast, plain = (
        build(["text", "image"], {**ENCODER, **options}, decoder, reference=reference).double()
        for reference in (False, True)
    )
    plain.load_state_dict(fast.state_dict())
    for mine, theirs in zip(run(fast, inputs, masks, anchor), run(plain, inputs, masks, anchor), strict=True):
        assert_alike(mine, theirs)


def test_students_and_teachers_are_rows_that_targets_pair() -> None:
    """Row m of the students is the unit that row targets[m] of the teachers saw unmasked."""
    inputs, masks = batch([3, 6], 0)
    model = build(["text", "image"]).double()
    out = model(inputs, masks, TEACHERS)
    mask_BL = masks["text"]["text"]["mask_indices"]
    padding_BL = inputs["text"]["padding_mask"]
    teacher_BLD = model.encode({"text": inputs["text"]})["text"]
    rows = out["teachers"]["text",]["text"][targets(mask_BL, padding_BL)]
    torch.testing.assert_close(rows, teacher_BLD[mask_BL])
    assert len(out["students"]["text",]["text"]) == mask_BL.sum()
    assert not out["teachers"]["text",]["text"].requires_grad


def test_stochastic_depth_drops_the_same_branches_for_cls_and_for_the_constants_of_a_sample() -> None:
    """The last layer runs twice, for CLS with gradient and for the other units without: one draw serves both."""
    model = build(["text"], {**ENCODER, "layers": 1, "drop_path_rate": 0.5}).double().train()
    model.encoder_wrapper.fusion_model.layers[0].drop_path.rate = 0.5
    values = torch.randint(2, 30, (64, 4))
    one = Pass(model.encoder_wrapper.sequences({"text": {"values": values}}), "cls", constants=True)
    torch.manual_seed(0)
    features = model.encoder_wrapper.fusion_model([one])[0]
    torch.manual_seed(0)
    whole = model.encoder_wrapper.fusion_model([Pass(one.sequences)])[0].wanted["text"]
    torch.testing.assert_close(features.wanted["text"], whole[:, 0])
    torch.testing.assert_close(features.constants["text"], whole[:, 1:].flatten(0, 1))


def test_stochastic_depth_drops_all_parts_of_a_sample_or_none() -> None:
    """Of a joint sequence of padded texts and pictures, as the reference does with the same draws."""
    inputs, _ = batch([3, 6, 4, 2, 5, 7, 3, 4], 0)
    results = []
    for reference in (False, True):
        model = build(["text", "image"], {**ENCODER, "drop_path_rate": 0.5}, reference=reference).double().train()
        torch.manual_seed(0)
        features = model.encode(inputs)
        sum(x.square().sum() for x in features.values()).backward()
        results.append((features, {name: p.grad for name, p in model.encoder_wrapper.named_parameters()}))
    for ours, theirs in zip(*results, strict=True):
        assert_alike(ours, theirs)

    sample_N, factor = torch.tensor([0, 0, 1, 2, 0, 1, 2, 2]), torch.tensor([0.0, 2.0, 3.0])
    x, y = torch.randn(2, 8, 4)
    layer = model.encoder_wrapper.fusion_model.layers[0].eval()
    expected = x + y * factor[sample_N][:, None]
    for cut in (8, 4, 3):
        torch.testing.assert_close(layer._add(x, y.clone().split(cut), factor, sample_N), expected)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", ["text", "image"])
@pytest.mark.parametrize("wanted", ["all", "cls", "units"])
def test_features_of_one_part_of_a_joint_sequence(name: str, wanted: str, reference: bool) -> None:
    """They are those of the whole; parameters that only the other part has get gradients, 0."""
    inputs, _ = batch([3, 6], 0)
    model = build(["text", "image"], reference=reference).double()
    sequences, fusion = model.encoder_wrapper.sequences(inputs), model.encoder_wrapper.fusion_model
    (some,) = fusion([Pass(sequences, {name: wanted})])
    (whole,) = fusion([Pass(sequences, wanted)])
    assert some.wanted.keys() == {name}
    torch.testing.assert_close(some.wanted[name], whole.wanted[name])
    some.wanted[name].square().sum().backward()
    other = fusion.get_submodule({"text": "image", "image": "text"}[name] + "_layer_norm")
    assert not other.weight.grad.any() and fusion.get_submodule(f"{name}_layer_norm").weight.grad.any()


def kept_bytes(layers: int) -> int:
    """What a checkpointed forward pass of a padded batch leaves behind, with a table a layer."""
    encoder = {**ENCODER, "layers": layers, "checkpoint_activations": True}
    model = build(["text"], encoder, copy_rel_pos_table=True).double()
    inputs, _ = batch([60, 80, 40, 70], 0)
    with PeakBytes() as count:
        features = model.encode({"text": inputs["text"]})
        gc.collect()
        kept = count.live
    del features
    return kept


def test_a_layers_own_biases_are_made_again_in_backward() -> None:
    padded_bias = 4 * 4 * 81 * 81 * 8  # of one layer: samples, heads, queries, keys, bytes
    assert (kept_bytes(7) - kept_bytes(3)) / 4 < 0.6 * padded_bias


HOST_READS = {"nonzero", "_local_scalar_dense"}


class Watch(TorchDispatchMode):
    """Names of the operations that a body calls, in order."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket._qualified_op_name.removeprefix("aten::"))
        return function(*args, **(kwargs or {}))


def test_nothing_in_the_layers_waits_for_a_number_on_the_host() -> None:
    """Shapes that depend on data are read before the first layer; backward reads none."""
    inputs, _ = batch([3, 6], 0)
    model = build(["text", "image"]).double()
    alone, joint = (model.encoder_wrapper.sequences({n: inputs[n] for n in ns}) for ns in (["text"], ["text", "image"]))
    wanted = {"text": ~inputs["text"]["padding_mask"], "image": torch.ones(2, 5, dtype=torch.bool)}
    passes = [Pass(alone, "cls", constants=True), Pass(joint, wanted)]
    with Watch() as forward:
        features = model.encoder_wrapper.fusion_model(passes)
    reads = [i for i, name in enumerate(forward.names) if name in HOST_READS]
    assert max(reads) < min(i for i, name in enumerate(forward.names) if name in ("mm", "addmm"))
    with Watch() as backward:
        sum(x.sum() for one in features for x in one.wanted.values()).backward()
    assert "mm" in backward.names and not HOST_READS & set(backward.names)


def test_constants_of_passes_in_another_order_than_their_modalities() -> None:
    model = build(["text", "image"]).double()
    inputs, _ = batch([3, 6], 0)
    own = {name: model.encoder_wrapper.sequences({name: raw})[0] for name, raw in inputs.items()}
    fusion = model.encoder_wrapper.fusion_model
    joint = Pass([own["text"], own["image"]], "units")
    _, *alone = fusion([joint, *(Pass([own[name]], "cls", constants=True) for name in ("image", "text"))])
    for name, features in zip(("image", "text"), alone, strict=True):
        expected = fusion([Pass([own[name]], "units")])[0].wanted[name]
        torch.testing.assert_close(features.constants[name], expected)
