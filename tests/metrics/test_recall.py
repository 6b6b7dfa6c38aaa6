"""Recall: recorded numbers, a slow reference, ties, chance, and ranks that agree with one process."""

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.metrics import RetrievalMeter, chance_recall, recall_report, retrieval_recall
from tests.golden import golden_path
from tests.metrics.two_ranks import SAMPLES, samples
from tests.parity_optim import recall_error

ROOT = Path(__file__).resolve().parents[2]


def slow_recall(queries: torch.Tensor, keys: torch.Tensor, pairs: set[tuple[int, int]], k: int) -> float:
    hits = 0
    for q, query in enumerate(queries.double()):
        scores = [float((query * key).sum()) for key in keys.double()]
        best = max(score for i, score in enumerate(scores) if (q, i) in pairs)
        hits += sum(score >= best for i, score in enumerate(scores) if (q, i) not in pairs) < k
    return 100 * hits / len(queries)


@st.composite
def problems(draw) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of small integers, so that ties are common and sums exact; every query has a true key."""
    num_queries, num_keys, width = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    queries, keys = (torch.randint(-2, 3, (n, width), generator=generator).float() for n in (num_queries, num_keys))
    first = torch.randint(0, num_keys, (num_queries,), generator=generator)
    more = torch.rand(num_queries, num_keys, generator=generator) < draw(st.sampled_from([0.0, 0.3]))
    more[torch.arange(num_queries), first] = True
    return queries, keys, more.nonzero()


def test_recorded_recall() -> None:
    assert recall_error(golden_path("processing")) < 1e-9


@given(problems(), st.integers(1, 12))
def test_against_a_slow_reference_whatever_the_chunk(problem, chunk: int) -> None:
    queries, keys, pairs = problem
    expected = {k: slow_recall(queries, keys, set(map(tuple, pairs.tolist())), k) for k in (1, 2, 5)}
    assert retrieval_recall(queries, keys, pairs, (1, 2, 5), chunk) == pytest.approx(expected)


@given(problems(), st.integers(0, 1000))
def test_order_and_repetition_do_not_matter(problem, seed: int) -> None:
    queries, keys, pairs = problem
    generator = torch.Generator().manual_seed(seed)
    order, columns = (torch.randperm(len(x), generator=generator) for x in (queries, keys))
    moved = torch.stack([order.argsort()[pairs[:, 0]], columns.argsort()[pairs[:, 1]]], dim=1)
    moved = torch.cat([moved, moved])[torch.randperm(2 * len(moved), generator=generator)]
    assert retrieval_recall(queries[order], keys[columns], moved) == pytest.approx(
        retrieval_recall(queries, keys, pairs)
    )


@pytest.mark.parametrize("width", [1, 7, 1536])
def test_a_collapsed_model_scores_zero(width: int) -> None:
    """All features equal: with wrong keys tied to the true one nothing is found, at any chunk size."""
    point = torch.nn.functional.normalize(torch.randn(width, generator=torch.Generator().manual_seed(0)), dim=0)
    features, pairs = point.expand(33, width), torch.arange(33).repeat(2, 1).T
    for chunk in (1024, 5):
        assert retrieval_recall(features, features, pairs, chunk=chunk) == {1: 0.0, 5: 0.0, 10: 0.0}


def test_nan_counts_against_the_model() -> None:
    features, pairs = torch.eye(4), torch.arange(4).repeat(2, 1).T
    assert retrieval_recall(features, features, pairs)[1] == 100.0
    broken = features.clone()
    broken[0] = torch.nan
    assert retrieval_recall(features, broken, pairs, (1, 2)) == {1: 0.0, 2: 75.0}
    assert retrieval_recall(broken, features, pairs, (1, 5)) == {1: 75.0, 5: 100.0}


@given(problems())
def test_chance_is_the_mean_over_all_rankings(problem) -> None:
    _, keys, pairs = problem
    for k, chance in chance_recall(pairs, len(keys), (1, 2, 5)).items():
        found = []
        for q in pairs[:, 0].unique().tolist():
            right = set(pairs[pairs[:, 0] == q, 1].tolist())
            draws = list(combinations(range(len(keys)), min(k, len(keys))))
            found.append(sum(bool(right & set(draw)) for draw in draws) / len(draws))
        assert chance == pytest.approx(100 * sum(found) / len(found))


def test_memory_is_bounded_by_the_chunk() -> None:
    """8000 x 8000 scores would take 512 MB; the largest tensor made stays near one block."""
    generator = torch.Generator().manual_seed(0)
    features, pairs = torch.randn(8000, 4, generator=generator), torch.arange(8000).repeat(2, 1).T
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Watch():
        assert retrieval_recall(features, features, pairs, chunk=500)[10] < 100.0
    assert largest <= 500 * 500


def test_names_of_both_directions() -> None:
    report = recall_report("audio", "txt", {1: 10.0, 5: 20.0}, {1: 30.0, 5: 50.0})
    assert report == {
        **{"txt_r1": 10.0, "txt_r5": 20.0, "txt_r_mean": 15.0},
        **{"audio_r1": 30.0, "audio_r5": 50.0, "audio_r_mean": 40.0},
        "r_mean": 27.5,
    }


def test_meter_counts_items_once() -> None:
    """Two images, one of them with two captions, and a caption that both share: repeats change nothing."""
    image_keys, text_keys = torch.tensor([7, 7, 9, 9, 7]), torch.tensor([1, 2, 2, 3, 1])
    image_of = {7: [1.0, 0.0], 9: [0.0, 1.0]}
    text_of = {1: [1.0, 0.0], 2: [0.6, 0.8], 3: [0.9, 0.1]}
    meter = RetrievalMeter("img", "txt", ks=(1, 2))
    for rows in ([0, 1, 2], [3, 4], [0, 3]):
        images = torch.tensor([image_of[int(key)] for key in image_keys[rows]])
        texts = torch.tensor([text_of[int(key)] for key in text_keys[rows]])
        meter.add(image_keys[rows], images, text_keys[rows], texts)
    assert len(meter) == 7
    items = meter.items()
    assert items.key_A.tolist() == [7, 9]
    assert items.key_B.tolist() == [1, 2, 3]
    assert items.pairs_P2.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    report = meter.compute()
    assert report["txt_r1"] == 100.0  # either image finds a caption of its own first
    assert report["img_r1"] == pytest.approx(200 / 3)  # caption 3 belongs to image 9 but looks like image 7
    assert report["img_r2"] == 100.0
    assert meter.chance()["img_r1"] == pytest.approx(100 * (1 / 2 + 1 + 1 / 2) / 3)
    meter.reset()
    with pytest.raises(ValueError, match="no retrieval pair"):
        meter.compute()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [([[0, 0]], "1 of 2 queries"), ([], "0 pairs"), ([[0, 0], [1, 3]], "outside"), ([[-1, 0], [1, 1]], "outside")],
)
def test_bad_pairs(pairs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_recall(torch.eye(2), torch.eye(2), torch.tensor(pairs, dtype=torch.long).reshape(-1, 2))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_together_report_what_one_process_does(world: int, tmp_path: Path) -> None:
    """Real gloo processes; uneven shards, and with three ranks one that saw no sample."""
    commands = [
        [sys.executable, "-m", "tests.metrics.two_ranks", str(rank), str(world), str(tmp_path / "store"), str(out)]
        for rank, out in ((rank, tmp_path / f"{rank}.json") for rank in range(world))
    ]
    processes = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [process.wait(timeout=120) for process in processes] == [0] * world
    meter = RetrievalMeter("img", "txt")
    meter.add(*samples())
    assert len(meter) == SAMPLES
    expected = {"report": meter.compute(), "chance": meter.chance()}
    assert 0 < expected["report"]["r_mean"] < 100
    for rank in range(world):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected
