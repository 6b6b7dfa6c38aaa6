"""The optimizer: its arithmetic, fairseq's mixed precision wrappers, checkpoints, and the choice of implementation."""

import copy
from types import SimpleNamespace

import pytest
import torch
from fairseq.dataclass.configs import FairseqConfig
from fairseq.optim import FP16Optimizer, MemoryEfficientFP16Optimizer, build_optimizer, fused_adam
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from one_peace.optim import AdjustAdam, AdjustAdamConfig, tag_parameters
from one_peace.optim.adam import CastingAdam, apex_fused_adam, parse_betas

OPTIONS = {"adam_betas": "(0.9, 0.98)", "weight_decay": 0.05, "layer_decay": 0.9, "lr": [1e-2]}


class Tiny(nn.Module):
    """One tensor of each kind: adapter, layer, rest; decayed and not."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        adapter = nn.ModuleDict({"embed_positions": nn.Embedding(3, 4), "embed_tokens": nn.Embedding(5, 4)})
        layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.encoder_wrapper = nn.ModuleDict(
            {"text_adapter": adapter, "fusion_model": nn.ModuleDict({"layers": layers})}
        )
        self.text_proj = nn.Linear(4, 2)


EXPECTED = {  # name -> (times the layer decay applies, decays)
    "encoder_wrapper.text_adapter.embed_positions.weight": (3, False),
    "encoder_wrapper.text_adapter.embed_tokens.weight": (3, True),
    "encoder_wrapper.fusion_model.layers.0.weight": (2, True),
    "encoder_wrapper.fusion_model.layers.0.bias": (2, False),
    "encoder_wrapper.fusion_model.layers.1.weight": (1, True),
    "encoder_wrapper.fusion_model.layers.1.bias": (1, False),
    "text_proj.weight": (0, True),
    "text_proj.bias": (0, False),
}


def tagged(dtype: torch.dtype = torch.float32, seed: int = 0) -> Tiny:
    model = Tiny(seed)
    tag_parameters(model.named_parameters())
    return model.to(dtype)


def adam(model: nn.Module, **options) -> AdjustAdam:
    return AdjustAdam(AdjustAdamConfig(**{**OPTIONS, **options}), model.parameters())


def set_gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def run(model: nn.Module, optimizer, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        set_gradients(model, step)
        optimizer.set_lr(1e-2 / (1 + step))
        optimizer.step()


def test_groups_of_a_model() -> None:
    model = tagged()
    groups = {id(p): group for group in adam(model).param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        height, decays = EXPECTED[name]
        assert groups[id(parameter)]["lr_scale"] == 0.9**height
        assert groups[id(parameter)]["weight_decay"] == (0.05 if decays else 0.0)
        assert groups[id(parameter)]["lr"] == 1e-2 * 0.9**height


def test_arithmetic_against_a_written_out_adam() -> None:
    """Decoupled decay and Adam's step, each with the scaled rate, in float64."""
    model = tagged()
    reference = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    first = {name: torch.zeros_like(value) for name, value in reference.items()}
    second = copy.deepcopy(first)
    optimizer = adam(model)
    for step in range(5):
        run(model, optimizer, range(step, step + 1))
        for name, parameter in model.named_parameters():
            height, decays = EXPECTED[name]
            lr, grad = 1e-2 / (1 + step) * 0.9**height, parameter.grad.double()
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.98 * second[name] + 0.02 * grad**2
            moved = first[name] / (1 - 0.9 ** (step + 1)) / ((second[name] / (1 - 0.98 ** (step + 1))).sqrt() + 1e-8)
            reference[name] = reference[name] * (1 - lr * (0.05 if decays else 0.0)) - lr * moved
    worst = max((p - reference[n]).abs().max().item() for n, p in model.named_parameters())
    assert worst < 1e-6


def test_get_lr_is_the_schedules_rate() -> None:
    optimizer = adam(tagged())
    optimizer.set_lr(3e-4)
    assert optimizer.get_lr() == 3e-4
    assert sorted({group["lr"] for group in optimizer.param_groups}) == sorted(3e-4 * 0.9**k for k in range(4))


def test_state_round_trip_is_bit_exact() -> None:
    whole, stopped = tagged(), tagged()
    run(whole, adam(whole), range(6))
    optimizer = adam(stopped)
    run(stopped, optimizer, range(3))
    state, resumed = copy.deepcopy(optimizer.state_dict()), tagged(seed=1)
    resumed.load_state_dict(stopped.state_dict())
    optimizer = adam(resumed)
    optimizer.load_state_dict(state)
    run(resumed, optimizer, range(3, 6))
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_hyperparameters_come_from_this_run_and_overrides_respect_groups() -> None:
    model = tagged()
    first = adam(model)
    run(model, first, range(2))
    second = adam(model, adam_betas=[0.8, 0.9], adam_eps=1e-6, weight_decay=0.1)
    second.load_state_dict(first.state_dict())
    assert {group["betas"] for group in second.param_groups} == {(0.8, 0.9)}
    assert {group["weight_decay"] for group in second.param_groups} == {0.0, 0.1}
    second.load_state_dict(first.state_dict(), {"lr": 5e-3, "weight_decay": 0.2, "eps": 1e-7})
    assert {group["weight_decay"] for group in second.param_groups} == {0.0, 0.2}
    assert second.get_lr() == 5e-3
    assert {group["lr"] for group in second.param_groups} == {5e-3 * 0.9**k for k in range(4)}
    assert {group["eps"] for group in second.param_groups} == {1e-7}


def test_a_checkpoint_with_other_groups_is_refused() -> None:
    model = tagged()
    state = adam(model).state_dict()
    with pytest.raises(ValueError, match="--reset-optimizer"):
        adam(model, layer_decay=1.0).load_state_dict(state)


def test_moments_of_another_shape_are_refused() -> None:
    """The fused implementation would read them beyond their end."""
    model = tagged()
    optimizer = adam(model)
    run(model, optimizer, range(2))
    state = copy.deepcopy(optimizer.state_dict())
    moments = next(entry for entry in state["state"].values() if entry["exp_avg"].ndim == 2)
    moments["exp_avg"] = moments["exp_avg"][:, :-1]
    with pytest.raises(ValueError, match=r"optimizer holds .* for a parameter of .*--finetune-from-model"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("memory_efficient", [False, True])
def test_bf16_wrappers_keep_the_groups(memory_efficient: bool) -> None:
    """Rates and decays under fairseq's mixed precision are those of float32; so are the results, in bf16 precision."""
    cfg = OmegaConf.structured(FairseqConfig)
    cfg.common.bf16 = True
    cfg.optimization.lr = OPTIONS["lr"]
    cfg.optimizer = {"_name": "adjust_adam", **OPTIONS}
    wrapper = MemoryEfficientFP16Optimizer if memory_efficient else FP16Optimizer
    exact, model = tagged(), tagged(torch.bfloat16)
    optimizer = wrapper.build_optimizer(cfg, list(model.parameters()))
    scales = sorted((group["lr_scale"], group["weight_decay"]) for group in optimizer.param_groups)
    assert scales == sorted((group["lr_scale"], group["weight_decay"]) for group in adam(exact).param_groups)
    run(model, optimizer, range(4))
    run(exact, adam(exact), range(4))
    for a, b in zip(model.parameters(), exact.parameters(), strict=True):
        assert a.dtype == torch.bfloat16
        torch.testing.assert_close(a.float(), b, atol=0.02, rtol=0.02)

    state = copy.deepcopy(optimizer.state_dict())
    twin = copy.deepcopy(model)
    tag_parameters(twin.named_parameters())
    resumed = wrapper.build_optimizer(cfg, list(twin.parameters()))
    resumed.load_state_dict(state)
    assert all(s["exp_avg"].dtype == torch.float32 for s in resumed.state_dict()["state"].values())


def test_flattened_fp16_is_refused() -> None:
    """fairseq hands the optimizer of flattened fp16 one dict with one tensor."""
    cfg = OmegaConf.structured(AdjustAdamConfig(**OPTIONS))
    cfg._name = "adjust_adam"
    with pytest.raises(ValueError, match="--fp16-no-flatten-grads"):
        build_optimizer(cfg, [{0: nn.Parameter(torch.zeros(10))}])


class FakeApex(torch.optim.Optimizer):
    """Apex's interface: the step count lives in the group."""

    def __init__(self, params, lr, betas, eps, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def step(self, closure=None):
        for group in self.param_groups:
            group["step"] = group.get("step", 0) + 1
            for p in group["params"]:
                self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                self.state[p].setdefault("exp_avg_sq", torch.zeros_like(p))


def test_choice_of_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(adam(tagged()).optimizer) is torch.optim.AdamW
    assert all(group["fused"] for group in adam(tagged()).param_groups)
    assert type(adam(tagged(torch.bfloat16)).optimizer) is CastingAdam
    # The unrelated package called apex leaves fairseq without this wrapper; NVIDIA's without kernels is not available.
    monkeypatch.setattr(fused_adam, "FusedAdamV2", FakeApex, raising=False)
    monkeypatch.setattr(fused_adam, "multi_tensor_applier", SimpleNamespace(available=False), raising=False)
    assert apex_fused_adam() is None
    monkeypatch.setattr(fused_adam.multi_tensor_applier, "available", True)
    assert apex_fused_adam() is FakeApex
    assert type(adam(tagged()).optimizer) is torch.optim.AdamW  # its kernels are for CUDA


def test_checkpoints_move_between_implementations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps in one implementation count as three in any other."""
    implementations = {
        "torch": (torch.optim.AdamW, {"fused": True}),
        "casting": (CastingAdam, {}),
        "apex": (FakeApex, {}),
    }

    def build(name: str) -> tuple[nn.Module, AdjustAdam]:
        monkeypatch.setattr("one_peace.optim.adam._implementation", lambda parameters: implementations[name])
        model = tagged()
        return model, adam(model)

    for source in implementations:
        model, optimizer = build(source)
        run(model, optimizer, range(3))
        for target in implementations:
            twin, other = build(target)
            other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            run(twin, other, range(3, 5))
            state = other.state_dict()
            counts = {int(entry["step"]) for entry in state["state"].values() if "step" in entry}
            assert counts == (set() if target == "apex" else {5}), (source, target)
            assert {group.get("step") for group in state["param_groups"]} == ({5} if target == "apex" else {None})


@given(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)))
def test_betas_in_every_spelling(betas: tuple[float, float]) -> None:
    for spelled in (betas, list(betas), str(betas), str(list(betas)), OmegaConf.create(list(betas))):
        assert parse_betas(spelled) == betas


@pytest.mark.parametrize("betas", ["__import__('os').getcwd()", "(0.9,", "0.9", "(0.9, 1.0)", "(0.9, 0.98, 0.1)", None])
def test_bad_betas(betas: object) -> None:
    with pytest.raises(ValueError, match="adam_betas"):
        parse_betas(betas)


@pytest.mark.parametrize("layer_decay", [0.0, -0.5, 1.1])
def test_bad_layer_decay(layer_decay: float) -> None:
    with pytest.raises(ValueError, match="layer_decay"):
        adam(tagged(), layer_decay=layer_decay)
