"""Recall@k of retrieval between two modalities.

Shapes: Q queries, K keys, A / B items of the two modalities, P true pairs, D features.

Names follow the released ones: ``{b}_r1`` is recall@1 when retrieving items of b with queries of a, so for the pair
(img, txt) ``txt_r1`` is image-to-text and ``img_r1`` text-to-image; ``{b}_r_mean`` is the mean over the ks, ``r_mean``
that of both directions. All in percent.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from one_peace.metrics.scores import CHUNK, Scores

KS = (1, 5, 10)
# Scores closer than this share of |query| * max |key| are ties: far above float64 rounding, far below float32 features.
_TIE = 1e-12


def retrieval_recall(
    query_QD: Tensor, key_KD: Tensor, pairs_P2: Tensor, ks: Sequence[int] = KS, chunk: int = CHUNK
) -> dict[int, float]:
    """Share of queries whose best matching key is among the k best, in percent.

    A query hits at k if fewer than k keys that do **not** match it score at least as high as its best matching key.
    Ties count against the model and so do NaNs: features that collapsed to one point score 0, not 100.

    Args:
        query_QD: features of the queries; scores are inner products, compared as if computed in float64.
        key_KD: features of the keys.
        pairs_P2: true (query index, key index) pairs; every query has at least one.
        ks: the k of each recall@k.
        chunk: queries and keys compared at once; memory grows with its square.

    Raises:
        ValueError: no query, a query without a true key, or an index out of range.
    """
    pairs_P2 = pairs_P2.to(query_QD.device).unique(dim=0)  # sorted by query
    _check_pairs(pairs_P2, len(query_QD), len(key_KD))
    scores = Scores(query_QD, key_KD, chunk)
    threshold_Q = _best_match(scores, pairs_P2, len(query_QD)) - _TIE
    beaten_by_Q = torch.zeros(len(query_QD), dtype=torch.long, device=query_QD.device)
    for q0 in range(0, len(query_QD), chunk):
        first, last = torch.searchsorted(pairs_P2[:, 0].contiguous(), torch.tensor([q0, q0 + chunk]).to(pairs_P2))
        near_P2 = pairs_P2[first:last]
        for k0 in range(0, len(key_KD), chunk):
            ahead_qk = scores.at_least(threshold_Q[q0 : q0 + chunk], q0, k0)
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


def _best_match(scores: Scores, pairs_P2: Tensor, num_queries: int) -> Tensor:
    """Q: the highest score of each query with a key that matches it."""
    start = torch.full((num_queries,), -torch.inf, dtype=torch.float64, device=pairs_P2.device)
    return start.scatter_reduce(0, pairs_P2[:, 0], scores.exact(pairs_P2), "amax")


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
