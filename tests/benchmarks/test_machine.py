"""What the measurements make of times, and that they count what they say."""

import json
from argparse import Namespace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.benchmarks import machine

SECONDS = st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=9)


def test_spread_is_in_samples_a_second() -> None:
    found = machine.spread([0.5, 2.0, 1.0], samples=8)
    assert found == {"seconds": 1.0, "samples_per_s": 8.0, "slowest": 4.0, "fastest": 16.0}


@given(SECONDS, st.integers(1, 100))
def test_the_median_lies_between_the_slowest_and_the_fastest(times, samples) -> None:
    found = machine.spread(times, samples)
    assert found["slowest"] <= found["samples_per_s"] <= found["fastest"]


def test_ratios_are_of_timings_side_by_side() -> None:
    """A machine that slows down by ten in the middle of a run changes none of them."""
    assert machine.ratios([1.0, 10.0, 2.0], [3.0, 30.0, 4.0]) == {"median": 3.0, "least": 2.0, "most": 3.0}
    with pytest.raises(ValueError):
        machine.ratios([1.0], [1.0, 2.0])


@given(SECONDS, st.floats(0.1, 10))
def test_the_ratio_of_a_path_that_takes_a_multiple_is_that_multiple(times, factor) -> None:
    assert machine.ratios(times, [factor * t for t in times])["median"] == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize(("number", "expected"), [(123456.0, 123500.0), (0.00123456, 0.001235), (7.0, 7.0), (0.0, 0.0)])
def test_significant_digits(number, expected) -> None:
    assert machine.significant(number) == expected


def test_a_table_is_right_aligned_and_shows_nothing_as_a_dash() -> None:
    rows = [{"work": "a", "samples/s": 12.5}, {"work": "longer", "samples/s": None}]
    assert machine.table(rows).splitlines() == ["  work  samples/s", "     a       12.5", "longer          -"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_report_prints_a_table_or_json_and_writes_the_file(tmp_path, capsys, as_json) -> None:
    described = {"hardware": "H", "torch": "T", "threads": 1, "dtype": "float32", "product_gflop_per_s": [2.0, 3.0]}
    args = Namespace(json=as_json, out=tmp_path / "x.json")
    machine.report(args, described, {"a": 1}, [{"work": "a"}])
    out, err = capsys.readouterr()
    expected = {"machine": described, "results": {"a": 1}}
    assert json.loads(args.out.read_text()) == expected
    assert "matrix product 2.0 then 3.0 GFLOP/s" in (err if as_json else out)
    assert json.loads(out) == expected if as_json else err == ""


def test_runs_take_turns() -> None:
    """A B A B, each as often as the other, after runs that do not count."""
    order = []
    times = machine.alternate([machine.timer(lambda name=name: order.append(name), "cpu") for name in "ab"], 3)
    assert [len(own) for own in times] == [3, 3] and min(map(min, times)) > 0
    turns = [order[0], *(b for a, b in pairwise(order) if a != b)]
    assert turns == ["a", "b"] * 4


def test_products_in_place_are_counted() -> None:
    y, a, b = torch.zeros(3, 5), torch.ones(3, 4), torch.ones(4, 5)
    assert machine.flops(lambda: y.addmm_(a, b)) == 2 * 3 * 4 * 5


def test_fused_attention_on_a_cpu_is_counted() -> None:
    q, k, v = (torch.randn(2, 3, 8, 4, requires_grad=True) for _ in range(3))

    def run() -> None:
        torch.nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()

    product = 2 * 2 * 3 * 8 * 8 * 4
    assert machine.flops(run) == 2 * product + 5 * product  # backward computes the logits once more


def test_added_memory_is_what_a_run_touches() -> None:
    added = machine.added_memory(lambda: torch.ones(16 << 20), "cpu")
    if added is None:
        pytest.skip("this system does not say")
    assert 56 * machine.MIB < added < 96 * machine.MIB


def test_a_fresh_process_knows_nothing_of_this_one() -> None:
    torch.manual_seed(5)
    assert machine.in_fresh_process(torch.initial_seed) != 5
