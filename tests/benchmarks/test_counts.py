"""What the works cost, in counts that no machine changes: floating-point operations and bytes of tensors."""

import functools

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from one_peace.benchmarks import machine, works
from one_peace.benchmarks.works import Build
from one_peace.models.sizes import SIZES

HOW = Build(machine.Setting("cpu", "float32", 1), size="tiny")
# The works of `benchmarks.steps`, scaled down.
SMALL = {
    "stage1": lambda: works.stage1(HOW, 4, 64),
    "stage2": lambda: works.stage2(HOW, 2, 1),
    "finetune": lambda: works.finetune(HOW, 4, 64),
    "embed_image": lambda: works.embed(HOW, "image", works.pictures(4, 128)),
    "embed_text": lambda: works.embed(HOW, "text", works.captions(works.caption_lengths(4))),
    "embed_text_mixed": lambda: works.embed(HOW, "text", works.captions(works.MIXED_TOKENS)),
    "embed_audio": lambda: works.embed(HOW, "audio", works.sounds(4, 1)),
}
# Most GFLOP and MiB of tensors alive above those before the run. Whoever lowers a count lowers its bound; one that must
# rise needs a reason.
BOUNDS = {}


@functools.cache
def counts(name: str) -> tuple[float, float]:
    """GFLOP, and most MiB of tensors alive at once above those before, of the second run of a work."""
    HOW.setting.apply()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(works, "VOCABULARY", 1000)
        work = SMALL[name]()
    work.run()
    return machine.flops(work.run) / 1e9, tensor_bytes(work.run) / machine.MIB


def tensor_bytes(run) -> int:
    """Most bytes that PyTorch's CPU allocator holds during a run above those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def test_tensor_bytes_are_counted() -> None:
    def run() -> None:
        a = torch.ones(3 << 18)
        b = torch.ones(1 << 18)
        del a, b
        torch.ones(2 << 18)

    assert tensor_bytes(run) == 4 << 20


@pytest.mark.parametrize("name", SMALL)
def test_no_work_costs_more_than_its_bound(name) -> None:
    gflop, mib = counts(name)
    most_gflop, most_mib = BOUNDS[name]
    assert gflop <= most_gflop and mib <= most_mib, f"{name}: {gflop:.4f} GFLOP, {mib:.2f} MiB"


@pytest.mark.parametrize("name", SMALL)
def test_the_bounds_are_tight(name) -> None:
    """A bound that nothing comes near guards nothing."""
    gflop, mib = counts(name)
    most_gflop, most_mib = BOUNDS[name]
    assert gflop > 0.95 * most_gflop and mib > 0.85 * most_mib, f"{name}: {gflop:.4f} GFLOP, {mib:.2f} MiB"


def test_a_text_costs_what_the_layers_say() -> None:
    """Projections and GeGLU's three matrices on every position, attention's two products, the projection of CLS."""
    size = SIZES["tiny"]["encoder"]
    batch, length, dim, ffn = 5, 17, size["embed_dim"], size["ffn_embed_dim"]
    work = works.embed(HOW, "text", works.captions([length - 1] * batch))
    layer = batch * length * (4 * dim * dim + 3 * dim * ffn) + 2 * batch * length * length * dim
    assert machine.flops(work.run) == 2 * (size["layers"] * layer + batch * dim * dim)


def test_padding_costs_no_projection() -> None:
    """Half of these captions is padding; only attention may see it."""
    padded, full = (works.embed(HOW, "text", works.captions(n)) for n in ([20, 2, 2, 2], [20, 20, 20, 20]))
    assert machine.flops(padded.run) < 0.45 * machine.flops(full.run)


def test_fused_attention_on_a_cpu_is_counted() -> None:
    q, k, v = (torch.randn(2, 3, 8, 4, requires_grad=True) for _ in range(3))

    def run() -> None:
        torch.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()

    product = 2 * 2 * 3 * 8 * 8 * 4
    assert machine.flops(run) == 2 * product + 5 * product  # backward computes the logits once more
