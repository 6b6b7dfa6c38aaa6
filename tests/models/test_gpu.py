"""On a GPU: attention and whole steps in half precision against float32. Skipped where there is none."""

import functools

import pytest
import torch
from torch import Tensor

from one_peace.benchmarks import machine, works
from one_peace.benchmarks.works import Build
from one_peace.models.layers.attend import aligned, attend, merge_heads, split_heads
from one_peace.models.layers.packing import Extent, Packing

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = torch.device("cuda")
HEADS, WIDTH = 6, 64
# Norm of the difference over that of the float32 result: a few units in the last place of each precision.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


def difference(ours: Tensor, reference: Tensor) -> float:
    """NaN never passes: it compares as no number does."""
    return float((ours.double() - reference.double()).norm() / reference.double().norm())


def plain(q_ND: Tensor, k_ND: Tensor, v_ND: Tensor, rows: Packing, bias: Tensor) -> Tensor:
    q, k, v = (split_heads(rows.rectangles(x)[0], HEADS) for x in (q_ND, k_ND, v_ND))
    return rows.rows([merge_heads((q @ k.mT * WIDTH**-0.5 + bias).softmax(-1) @ v)])


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("length", [64, 192, 257, 320])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_attention_with_a_trained_bias(dtype: torch.dtype, length: int, padded: bool) -> None:
    """Lengths at which kernels of Hopper have returned wrong gradients."""
    torch.manual_seed(0)
    batch = 3
    hidden_BL = torch.zeros(batch, length, dtype=torch.bool, device=GPU)
    if padded:
        hidden_BL[1, length // 2 :] = True
    rows = Packing([[Extent("a", batch, length, GPU, ~hidden_BL if padded else None)]])
    count = int((~hidden_BL).sum())
    leaves = [torch.randn(count, HEADS * WIDTH, device=GPU) for _ in range(3)]
    leaves.append(torch.randn(1, HEADS, length, length, device=GPU))
    grad_ND = torch.randn(count, HEADS * WIDTH, device=GPU)

    def run(dtype: torch.dtype, attention) -> list[Tensor]:
        q, k, v, table = (x.to(dtype).requires_grad_() for x in leaves)
        bias = table.masked_fill(hidden_BL[:, None, None], -torch.inf) if padded else table
        out = attention(q, k, v, bias)
        return [out, *torch.autograd.grad(out, [q, k, v, table], grad_ND.to(dtype))]

    ours = run(dtype, lambda q, k, v, bias: attend(q, k, v, HEADS, rows, rows, [aligned(bias)]))
    theirs = run(torch.float64, lambda q, k, v, bias: plain(q, k, v, rows, bias))
    for name, mine, reference in zip(("out", "q", "k", "v", "bias"), ours, theirs, strict=True):
        assert difference(mine, reference) < TOLERANCES[dtype], name


STEPS = {
    "stage1": lambda how: works.stage1(how, 8, 128),
    "stage2": lambda how: works.stage2(how, 4, 2),
    "finetune": lambda how: works.finetune(how, 8, 128),
}


def gradients(work: str, dtype: str, **how: object) -> dict[str, Tensor]:
    """Every gradient of a step, always with the same weights and inputs."""
    setting = machine.Setting("cuda", dtype, 1)
    setting.apply()
    made = STEPS[work](Build(setting, **how))
    made.run()
    return {name: p.grad for name, p in made.model.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def naive():
    """``naive(work, dtype)``: the naive path's gradients."""
    return functools.cache(lambda work, dtype: gradients(work, dtype, reference=True))


@pytest.mark.parametrize("how", [{}, {"checkpoint": True}], ids=lambda how: "+".join(how) or "fast")
@pytest.mark.parametrize("work", STEPS)
@pytest.mark.parametrize("dtype", machine.DTYPES)
def test_gradients_of_a_step(work: str, dtype: str, how: dict, naive, monkeypatch) -> None:
    """In float32 those of the naive path, in half precision no farther from these than the naive path's."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    exact, plain, ours = naive(work, "float32"), naive(work, dtype), gradients(work, dtype, **how)
    assert ours.keys() == exact.keys()
    plain, ours = (difference(joined(grads, exact), joined(exact, exact)) for grads in (plain, ours))
    assert ours < max(1.25 * plain, 1e-4)


def joined(grads: dict[str, Tensor], names: dict[str, Tensor]) -> Tensor:
    return torch.cat([grads[name].double().flatten() for name in names])
