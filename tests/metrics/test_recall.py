"""Recall: recorded numbers, a slow reference, ties, chance, and ranks that agree with one process."""

import json
import multiprocessing
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.metrics import RetrievalMeter, chance_recall, recall_report, retrieval_recall
from one_peace.metrics.scores import best_keys
from tests.golden import golden_path
from tests.metrics.two_ranks import main, report, samples
from tests.parity_optim import recall_error


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


class Watch(torch.utils._python_dispatch.TorchDispatchMode):
    """Bytes of the largest tensor that an operation makes, and how many are made in all."""

    largest = total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.nbytes)
                self.total += tensor.nbytes
        return out


def grid(queries: int, keys: int, width: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, and pairs of each query with one key."""
    generator = torch.Generator().manual_seed(0)
    features = (torch.randn(n, width, generator=generator) for n in (queries, keys))
    return *features, torch.stack(
        [torch.arange(queries), torch.randint(0, keys, (queries,), generator=generator)], dim=1
    )


@pytest.mark.parametrize("collapsed", [False, True])
def test_memory_does_not_grow_with_queries_times_keys(collapsed: bool) -> None:
    """100,000 x 500,000 scores would be 200 GB: here 1,000 x 3,000 and twice and six times as many of them."""
    largest = {}
    for queries, keys in ((1000, 3000), (2000, 3000), (2000, 9000)):
        query_QD, key_KD, pairs = grid(queries, keys)
        if collapsed:  # nearly all scores need float64
            query_QD, key_KD = query_QD * 0 + 1, key_KD * 0 + 1
        with Watch() as watch:
            retrieval_recall(query_QD, key_KD, pairs, chunk=150)
            best_keys(query_QD, key_KD, 10, chunk=150)
        largest[queries, keys] = watch.largest
    block = 150 * 150 * 8
    linear = {(q, k): 8 * max(4 * (q + k), 10 * q) for q, k in largest}  # the features, and the ten best keys
    assert all(size <= max(block, linear[shape]) for shape, size in largest.items()), largest
    assert largest[2000, 9000] < 2000 * 9000 * 4 / 100


def test_only_near_ties_are_computed_in_float64() -> None:
    query_QD, key_KD, pairs = grid(1000, 3000, width=64)
    calls = {torch.float32: 0, torch.float64: 0}

    class Products(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if "aten::mm" in str(func.name()):
                calls[out.dtype] += out.numel()
            return out

    with Products():
        fast = retrieval_recall(query_QD, key_KD, pairs)
    assert calls == {torch.float32: 3_000_000, torch.float64: 0}
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")  # such products are too coarse to compare by
        with Products():
            assert retrieval_recall(query_QD, key_KD, pairs) == fast
    finally:
        torch.set_float32_matmul_precision(precision)
    assert calls == {torch.float32: 3_000_000, torch.float64: 3_000_000}


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_differences_far_below_float32_decide(scale: float) -> None:
    """Keys that float32 products cannot tell apart, among many that they can."""
    generator = torch.Generator().manual_seed(0)
    query_QD = torch.nn.functional.normalize(torch.randn(40, 256, generator=generator).double(), dim=1)
    keys = torch.nn.functional.normalize(torch.randn(400, 256, generator=generator).double(), dim=1)
    keys[:40] = query_QD * 0.9
    better = keys[:40] * (1 + 1e-9)  # wrong ones
    worse = keys[:40] * (1 - 1e-9)
    pairs = torch.arange(40).repeat(2, 1).T
    for wrong, recall in ((better, 0.0), (worse, 100.0), (keys[:40], 0.0)):
        found = retrieval_recall(query_QD * scale, torch.cat([keys, wrong]) * scale, pairs, (1, 2))
        assert found == {1: recall, 2: 100.0}


@given(problems(), st.integers(1, 12), st.integers(1, 4))
def test_the_best_keys_whatever_the_chunk(problem, chunk: int, k: int) -> None:
    queries, keys, _ = problem
    found = best_keys(queries, keys, k, chunk)
    scores = torch.nn.functional.normalize(queries, dim=1) @ keys.T
    assert found.shape == (len(queries), min(k, len(keys)))
    for row, own in zip(scores, found, strict=True):
        assert len(own.unique()) == len(own)
        torch.testing.assert_close(row[own], row.sort(descending=True).values[: len(own)])


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
    items = meter.gather()
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


def test_items_without_a_partner_are_no_queries_but_can_be_found() -> None:
    meter = RetrievalMeter("txt", "img", ks=(1, 2))
    meter.add_a(torch.tensor([1, 2, 3]), torch.tensor([[1.0, 0], [0, 1], [1, 1]]))
    meter.add_b(torch.tensor([10, 20]), torch.tensor([[1.0, 0.5], [0, 1]]))
    meter.add_pairs(torch.tensor([1, 2]), torch.tensor([10, 20]))
    assert meter.compute() == {
        **{"img_r1": 100.0, "img_r2": 100.0, "img_r_mean": 100.0},
        **{"txt_r1": 0.0, "txt_r2": 100.0, "txt_r_mean": 50.0, "r_mean": 75.0},  # text 3 has 1.5 for 10, and 1 for 20
    }
    best_b, best_a = meter.best(meter.gather(), 2)
    assert best_b.tolist() == [[0, 1], [1, 0], [0, 1]] and best_a[0].tolist() == [2, 0]


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
    context = multiprocessing.get_context("fork")
    store, outs = tmp_path / "store", [tmp_path / f"{rank}.json" for rank in range(world)]
    ranks = [context.Process(target=main, args=(rank, world, str(store), str(out))) for rank, out in enumerate(outs)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * world
    expected = report(samples())
    assert 0 < expected["recall"]["r_mean"] < 100 and 0 < expected["accuracy"]["accuracy"] < 100
    for out in outs:
        assert json.loads(out.read_text()) == expected
