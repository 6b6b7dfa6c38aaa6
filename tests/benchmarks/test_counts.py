"""What the works cost, in counts that no machine changes: floating-point operations and bytes of tensors."""

import functools
from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from one_peace.benchmarks import machine, works
from one_peace.benchmarks.works import Build
from one_peace.models.sizes import SIZES

HOW = Build(machine.Setting("cpu", "float32", 1), size="tiny")
# The works of `benchmarks.steps`, scaled down.
SMALL = {
    "stage1": lambda how: works.stage1(how, 4, 64),
    "stage2": lambda how: works.stage2(how, 2, 1),
    "finetune": lambda how: works.finetune(how, 4, 64),
    "contrast": lambda how: works.contrast(how, 512),
    "embed_image": lambda how: works.embed(how, "image", works.pictures(4, 128)),
    "embed_text": lambda how: works.embed(how, "text", works.captions(works.caption_lengths(4))),
    "embed_text_mixed": lambda how: works.embed(how, "text", works.captions(works.MIXED_TOKENS)),
    "embed_audio": lambda how: works.embed(how, "audio", works.sounds([1] * 4)),
    "embed_audio_mixed": lambda how: works.embed(how, "audio", works.sounds([1, 0.5, 1, 0.3])),
}
# Most GFLOP and MiB of tensors alive above those before the run. Whoever lowers a count lowers its bound; one that must
# rise needs a reason.
BOUNDS = {
    "stage1": (4.46, 17.0),
    "stage2": (32.0, 83.5),
    "finetune": (1.49, 13.7),
    "contrast": (3.29, 11.2),
    "embed_image": (0.844, 2.75),
    "embed_text": (0.278, 1.04),
    "embed_text_mixed": (0.626, 2.52),
    "embed_audio": (16.0, 40.0),
    "embed_audio_mixed": (11.2, 40.0),
}
# Most GFLOP and MiB as shares of those of the naive path.
SHARES = {
    "stage1": (0.9, 0.47),
    "stage2": (0.35, 0.3),
    "finetune": (0.8, 0.87),
    "embed_text_mixed": (0.43, 0.62),
    "embed_audio_mixed": (0.65, 0.45),
}


@functools.cache
def counts(name: str, how: Build = HOW) -> tuple[float, float]:
    """GFLOP, and most MiB of tensors alive at once above those before, of the second run of a work."""
    HOW.setting.apply()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(works, "VOCABULARY", 1000)
        work = SMALL[name](how)
    gflop = machine.flops(work.run) / 1e9  # also the first run, which fills caches
    work.model.zero_grad(set_to_none=True)
    return gflop, tensor_bytes(work.run) / machine.MIB


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
    assert gflop > 0.96 * most_gflop and mib > 0.96 * most_mib, f"{name}: {gflop:.4f} GFLOP, {mib:.2f} MiB"


@pytest.mark.parametrize("name", SHARES)
def test_the_fast_path_costs_less_than_the_naive_one(name) -> None:
    fast, naive = counts(name), counts(name, replace(HOW, reference=True))
    for ours, theirs, share in zip(fast, naive, SHARES[name], strict=True):
        assert ours < share * theirs, f"{name}: {ours:.4f} of {theirs:.4f}"


def test_a_text_costs_what_the_layers_say() -> None:
    """Projections and GeGLU's three matrices on every position, attention's two products, the projection of CLS; in the
    last layer, keys and values on every position and the rest on CLS."""
    size = SIZES["tiny"]["encoder"]
    batch, length, dim, ffn = 5, 17, size["embed_dim"], size["ffn_embed_dim"]
    work = works.embed(HOW, "text", works.captions([length - 1] * batch))
    layer = batch * length * (4 * dim * dim + 3 * dim * ffn) + 2 * batch * length * length * dim
    last = batch * length * 2 * dim * dim + batch * (2 * dim * dim + 3 * dim * ffn) + 2 * batch * length * dim
    assert machine.flops(work.run) == 2 * ((size["layers"] - 1) * layer + last + batch * dim * dim)


def test_padding_costs_no_projection() -> None:
    """Half of these captions is padding; only attention may see it."""
    padded, full = (works.embed(HOW, "text", works.captions(n)) for n in ([20, 2, 2, 2], [20, 20, 20, 20]))
    assert machine.flops(padded.run) < 0.45 * machine.flops(full.run)
