"""The schedule: recorded rates, its shape as properties, and how it learns the length of a run."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_peace.optim import AdjustCosineConfig, AdjustCosineSchedule, announce_epoch_batches
from one_peace.optim.cosine import count_updates
from tests.golden import golden_path
from tests.parity_optim import GroupedRate, schedule_error


def schedule(**options) -> AdjustCosineSchedule:
    defaults = {"lr": [1e-3], "max_update": 0, "max_epoch": 0, "update_freq": [1], "skip_remainder_batch": False}
    return AdjustCosineSchedule(AdjustCosineConfig(**{**defaults, **options}), GroupedRate([1.0]))


def test_recorded_rates() -> None:
    """Restarts, shrinking, growing periods, and the quirks of the released warm-up ratio."""
    records = json.loads(golden_path("processing", "adjust_cosine_lr.json").read_text())
    assert len(records) >= 5
    assert max(schedule_error(record) for record in records) < 1e-12


@given(
    total=st.integers(2, 500),
    ratio=st.floats(0, 0.9),
    lr=st.floats(1e-5, 1e-2),
    min_lr=st.floats(1e-8, 1e-6),
)
def test_shape(total: int, ratio: float, lr: float, min_lr: float) -> None:
    """Every update learns; the rate rises to ``lr`` after the warm-up, then falls, and stays low after the end."""
    cosine = schedule(lr=[lr], min_lr=min_lr, max_update=total, warmup_ratio=ratio)
    rates = [cosine.step_update(n) for n in range(total + 50)]
    warmup = int(total * ratio)
    assert all(rate >= min_lr > 0 for rate in rates)
    assert rates[warmup] == pytest.approx(lr, rel=1e-12)
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(rates[: warmup + 1]))
    assert all(a >= b * (1 - 1e-12) for a, b in itertools.pairwise(rates[warmup:]))
    assert set(rates[total:]) == {min_lr}
    halfway = (warmup + total) / 2
    if halfway.is_integer():
        assert rates[int(halfway)] == pytest.approx((lr + min_lr) / 2, rel=1e-9)


def test_release_schedule_differs_at_the_ends_only() -> None:
    clean, release = (schedule(max_update=40, warmup_ratio=0.1, release_schedule=release) for release in (False, True))
    differing = [n for n in range(41) if clean.step_update(n) != release.step_update(n)]
    assert differing == [0, 40]
    assert release.step_update(0) == 0.0
    assert release.step_update(40) == pytest.approx(1e-4)


@given(
    batches=st.integers(1, 60),
    frequencies=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    epochs=st.integers(1, 6),
)
def test_count_updates_is_what_fairseq_does(batches: int, frequencies: list[int], epochs: int) -> None:
    """Against the iterators of fairseq's training loop."""
    from fairseq.data.iterators import CountingIterator, GroupedIterator

    for skip in (False, True):
        done = 0
        for epoch in range(1, epochs + 1):
            itr = CountingIterator(range(batches))
            if skip:  # as EpochBatchIterator does
                itr.take(batches - 1)
            frequency = frequencies[epoch - 1] if epoch <= len(frequencies) else frequencies[-1]
            done += len(list(GroupedIterator(itr, frequency, skip_remainder_batch=skip)))
        assert count_updates(batches, frequencies, epochs, skip) == done


def test_length_from_epochs() -> None:
    """Asked before the data is there it keeps its rate; then it plans 3 + 5 * 2 = 13 updates."""
    announce_epoch_batches(999)  # of some earlier run in this process
    cosine = schedule(max_epoch=6, update_freq=[2, 3], warmup_ratio=0.25)
    cosine.step_update(0)
    announce_epoch_batches(6)
    rates = [cosine.step_update(n) for n in range(14)]
    assert rates[3] == pytest.approx(1e-3)  # int(13 * 0.25)
    assert rates[12] == pytest.approx(1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * 9 / 10)) / 2, rel=1e-12)
    assert rates[13] == 1e-6


def test_unknown_length_keeps_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("one_peace.optim.cosine._announced_batches", None)
    cosine = schedule(max_epoch=2, warmup_ratio=0.1)
    assert cosine.step_update(0) == 1e-6
    cosine.optimizer.set_lr(3e-4)
    assert cosine.step_update(7) == 3e-4


def test_resume_keeps_the_plan_of_the_first_epoch(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """The next shard is longer, and the iterator comes late: neither moves the schedule; a new lr and length do."""
    announce_epoch_batches(50)
    first = schedule(max_epoch=4, warmup_ratio=0.1)
    first.step_update(0)
    announce_epoch_batches(80)
    expected = [first.step_update(n) for n in range(1, 200)]
    assert "planned for 50" in caplog.text

    monkeypatch.setattr("one_peace.optim.cosine._announced_batches", None)
    resumed = schedule(max_epoch=4, warmup_ratio=0.1)
    resumed.step_update(0)
    resumed.load_state_dict(first.state_dict())
    assert resumed.step_update(66) == expected[65]
    announce_epoch_batches(80)
    assert [resumed.step_update(n) for n in range(66, 200)] == expected[65:]

    doubled = schedule(max_epoch=8, warmup_ratio=0.1, lr=[2e-3])
    doubled.load_state_dict(first.state_dict())
    assert doubled.step_update(40) == pytest.approx(2e-3)


def test_a_checkpoint_of_another_schedule_loads() -> None:
    announce_epoch_batches(10)
    cosine = schedule(max_epoch=1, warmup_updates=2)
    cosine.load_state_dict({"best": 3.0})
    assert cosine.best == 3.0
    assert cosine.step_update(2) == pytest.approx(1e-3)


def test_warmup_longer_than_the_run() -> None:
    cosine = schedule(max_update=3, warmup_updates=10)
    assert [cosine.step_update(n) for n in range(3)] == pytest.approx([1e-6 + n * (1e-3 - 1e-6) / 10 for n in range(3)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup_ratio": 0.1}, "--max-update or --max-epoch"),
        ({"max_update": 5, "warmup_ratio": 1.0}, "warmup_ratio"),
        ({"max_update": 5, "warmup_ratio": -0.1}, "warmup_ratio"),
        ({"max_update": 5, "warmup_ratio": 0.1, "warmup_updates": 3}, "not both"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(**options)
