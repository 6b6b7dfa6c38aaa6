"""Recall@k of retrieval between two modalities, over a whole evaluation set and all ranks.

Shapes: Q queries, K keys, A / B items of the two modalities, P true pairs, D features.

Names follow the released ones: ``{b}_r1`` is recall@1 when retrieving items of b with queries of a, so for the pair
(img, txt) ``txt_r1`` is image-to-text and ``img_r1`` text-to-image; ``{b}_r_mean`` is the mean over the ks, ``r_mean``
that of both directions. All in percent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

KS = (1, 5, 10)
# Scores closer than this share of |query| * max |key| are ties: far above float64 rounding, far below float32 features.
_TIE = 1e-12


def retrieval_recall(
    query_QD: Tensor, key_KD: Tensor, pairs_P2: Tensor, ks: Sequence[int] = KS, chunk: int = 1024
) -> dict[int, float]:
    """Share of queries whose best matching key is among the k best, in percent.

    A query hits at k if fewer than k keys that do **not** match it score at least as high as its best matching key.
    Ties count against the model and so do NaNs: features that collapsed to one point score 0, not 100.

    Args:
        query_QD: features of the queries; scores are inner products, computed in float64.
        key_KD: features of the keys.
        pairs_P2: true (query index, key index) pairs; every query has at least one.
        ks: the k of each recall@k.
        chunk: queries and keys compared at once; memory grows with its square.

    Raises:
        ValueError: no query, a query without a true key, or an index out of range.
    """
    queries, keys = query_QD.double(), key_KD.double()
    pairs_P2 = pairs_P2.to(queries.device).unique(dim=0)  # sorted by query
    _check_pairs(pairs_P2, len(queries), len(keys))
    best_Q = _best_match(queries, keys, pairs_P2, chunk)
    threshold_Q = best_Q - _TIE * queries.norm(dim=1) * keys.norm(dim=1).nan_to_num(0).max()

    beaten_by_Q = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    for q0 in range(0, len(queries), chunk):
        threshold_q1 = threshold_Q[q0 : q0 + chunk, None]
        first, last = torch.searchsorted(pairs_P2[:, 0].contiguous(), torch.tensor([q0, q0 + chunk]).to(pairs_P2))
        near_P2 = pairs_P2[first:last]
        for k0 in range(0, len(keys), chunk):
            ahead_qk = ~(queries[q0 : q0 + chunk] @ keys[k0 : k0 + chunk].T < threshold_q1)
            here_P2 = near_P2[(near_P2[:, 1] >= k0) & (near_P2[:, 1] < k0 + chunk)]
            ahead_qk[here_P2[:, 0] - q0, here_P2[:, 1] - k0] = False
            beaten_by_Q[q0 : q0 + chunk] += ahead_qk.sum(dim=1)
    return {k: 100.0 * (beaten_by_Q < k).double().mean().item() for k in ks}


def _check_pairs(pairs_P2: Tensor, num_queries: int, num_keys: int) -> None:
    if num_queries == 0 or len(pairs_P2) == 0:
        raise ValueError(f"recall needs queries and true pairs, got {num_queries} queries and {len(pairs_P2)} pairs")
    limits = torch.tensor([num_queries, num_keys], device=pairs_P2.device)
    if (pairs_P2 < 0).any() or (pairs_P2 >= limits).any():
        raise ValueError(f"a pair points outside the {num_queries} queries and {num_keys} keys")
    paired = torch.bincount(pairs_P2[:, 0], minlength=num_queries) > 0
    if not paired.all():
        raise ValueError(f"{int((~paired).sum())} of {num_queries} queries have no true key")


def _best_match(query_QD: Tensor, key_KD: Tensor, pairs_P2: Tensor, chunk: int) -> Tensor:
    """Q: the highest score of each query with a key that matches it."""
    scores_P = torch.cat([(query_QD[part[:, 0]] * key_KD[part[:, 1]]).sum(dim=1) for part in pairs_P2.split(chunk)])
    start = torch.full((len(query_QD),), -torch.inf, dtype=scores_P.dtype, device=scores_P.device)
    return start.scatter_reduce(0, pairs_P2[:, 0], scores_P, "amax")


def chance_recall(pairs_P2: Tensor, num_keys: int, ks: Sequence[int] = KS) -> dict[int, float]:
    """Expected recall in percent of the paired queries when every ranking of the keys is equally likely.

    With m of K keys matching a query, its k best hold none of them with probability ``C(K - m, k) / C(K, k)``.
    """
    matches_Q = torch.bincount(pairs_P2.unique(dim=0)[:, 0]).double()
    matches_Q = matches_Q[matches_Q > 0]
    recall = {}
    for k in ks:
        miss_Q = torch.ones_like(matches_Q)
        for drawn in range(min(k, num_keys)):
            miss_Q *= ((num_keys - matches_Q - drawn) / (num_keys - drawn)).clamp(min=0)
        recall[k] = 100.0 * (1 - miss_Q).mean().item()
    return recall


def recall_report(a: str, b: str, retrieve_b: Mapping[int, float], retrieve_a: Mapping[int, float]) -> dict[str, float]:
    """Name the recalls of both directions as the release does (see the module's head).

    Args:
        a, b: prefixes of the two modalities, e.g. ``img`` and ``txt``.
        retrieve_b: recall@k of queries of a over keys of b.
        retrieve_a: recall@k of queries of b over keys of a.
    """
    report: dict[str, float] = {}
    for prefix, recalls in ((b, retrieve_b), (a, retrieve_a)):
        report |= {f"{prefix}_r{k}": recall for k, recall in recalls.items()}
        report[f"{prefix}_r_mean"] = sum(recalls.values()) / len(recalls)
    report["r_mean"] = (report[f"{a}_r_mean"] + report[f"{b}_r_mean"]) / 2
    return report


@dataclass(frozen=True)
class RetrievalItems:
    """The distinct items of an evaluation set, ordered by key: ``pairs_P2`` indexes rows of a and of b."""

    key_A: Tensor
    features_AD: Tensor
    key_B: Tensor
    features_BD: Tensor
    pairs_P2: Tensor


class RetrievalMeter:
    """Collects the features of paired items and reports recall over all ranks.

    An item is known by its key, a number made of its content: an image with five captions is one image with five true
    captions, and a caption shared by two images is true for both. Repeated samples change nothing.

    Args:
        a, b: prefixes of the two modalities in the report.
        ks: the k of each recall@k.
    """

    def __init__(self, a: str, b: str, ks: Sequence[int] = KS):
        self.a, self.b, self.ks = a, b, tuple(ks)
        self.reset()

    def reset(self) -> None:
        """Forget everything; call it before each pass."""
        self._rows: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def __len__(self) -> int:
        """Samples added on this rank, repetitions included."""
        return sum(len(row[0]) for row in self._rows)

    def names(self) -> list[str]:
        """What :meth:`compute` reports."""
        nothing = dict.fromkeys(self.ks, 0.0)
        return list(recall_report(self.a, self.b, nothing, nothing))

    def add(self, key_a_N: Tensor, features_a_ND: Tensor, key_b_N: Tensor, features_b_ND: Tensor) -> None:
        """Add a batch of pairs: row i of a (its int64 key and feature) belongs to row i of b."""
        if not len(key_a_N) == len(features_a_ND) == len(key_b_N) == len(features_b_ND):
            raise ValueError("keys and features of a batch differ in length")
        row = (key_a_N.long(), features_a_ND.float(), key_b_N.long(), features_b_ND.float())
        self._rows.append(tuple(part.detach().cpu() for part in row))

    def items(self) -> RetrievalItems:
        """Distinct items and pairs of all ranks; a collective: every rank has to call it.

        Raises:
            ValueError: no rank added anything.
        """
        parts = [torch.cat(part) for part in zip(*self._rows, strict=True)] if self._rows else None
        key_a, features_a, key_b, features_b = _gather_rows(parts)
        key_A, index_a, first_a = _distinct(key_a)
        key_B, index_b, first_b = _distinct(key_b)
        pairs_P2 = torch.stack([index_a, index_b], dim=1).unique(dim=0)
        return RetrievalItems(key_A, features_a[first_a], key_B, features_b[first_b], pairs_P2)

    def compute(self) -> dict[str, float]:
        """Recall in percent over all ranks, by the released names; a collective like :meth:`items`."""
        items = self.items()
        forward = retrieval_recall(items.features_AD, items.features_BD, items.pairs_P2, self.ks)
        backward = retrieval_recall(items.features_BD, items.features_AD, items.pairs_P2.flip(1), self.ks)
        return recall_report(self.a, self.b, forward, backward)

    def chance(self) -> dict[str, float]:
        """What :meth:`compute` would give on average for random rankings, by the same names; a collective."""
        items = self.items()
        forward = chance_recall(items.pairs_P2, len(items.key_B), self.ks)
        backward = chance_recall(items.pairs_P2.flip(1), len(items.key_A), self.ks)
        return recall_report(self.a, self.b, forward, backward)


def _distinct(key_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sorted distinct keys, each row's index among them, and the first row of each."""
    keys, index_N = key_N.unique(return_inverse=True)
    rows = torch.arange(len(key_N))
    first = torch.full((len(keys),), len(key_N)).scatter_reduce(0, index_N, rows, "amin")
    return keys, index_N, first


def _gather_rows(parts: Sequence[Tensor] | None) -> list[Tensor]:
    """Concatenate (key_a_N, features_a_ND, key_b_N, features_b_ND) over ranks, in rank order; N differs, 0 included."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        if parts is None:
            raise ValueError("no retrieval pair was added")
        return list(parts)
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    sizes = [0, 0, 0] if parts is None else [len(parts[0]), parts[1].shape[1], parts[3].shape[1]]
    rows, width_a, width_b = torch.stack(_all_gather(torch.tensor(sizes, device=device))).T.tolist()
    if max(rows) == 0:
        raise ValueError("no retrieval pair was added on any rank")
    if parts is None:
        empty_key = torch.empty(0, dtype=torch.long)
        parts = [empty_key, torch.empty(0, max(width_a)), empty_key, torch.empty(0, max(width_b))]
    gathered = []
    for part in parts:
        padded = part.new_zeros(max(rows), *part.shape[1:])
        padded[: len(part)] = part
        gathered.append(torch.cat([p[:n].cpu() for p, n in zip(_all_gather(padded.to(device)), rows, strict=True)]))
    return gathered


def _all_gather(tensor: Tensor) -> list[Tensor]:
    """The tensors, alike in shape, of all ranks."""
    gathered = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, tensor)
    return gathered
