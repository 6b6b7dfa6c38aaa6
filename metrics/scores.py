"""Inner products of many queries with many keys, a block at a time.

Shapes: Q queries, K keys, D features, P pairs; q and k: those of one block.

A score here is the inner product divided by |query| and by the longest |key|: at most 1, and in the order of the inner
products, which is all that retrieval asks for.
"""

import torch
from torch import Tensor

CHUNK = 2048
# Where more than one in so many scores of a block needs float64, the whole block is computed in it.
_FEW = 128
# What rounding to float32 adds to an inner product of D features, at most: (D + some) times this, in any order of sums.
_ROUNDING = 2.0**-24


class Scores:
    """Compares scores as float64 would, computing most of them in float32.

    Args:
        query_QD, key_KD: the features.
        chunk: queries and keys of a block.
    """

    def __init__(self, query_QD: Tensor, key_KD: Tensor, chunk: int = CHUNK):
        self.query_QD, self.key_KD, self.chunk = query_QD, key_KD, chunk
        self.query_norm_Q = _norms(query_QD, chunk).clamp(min=torch.finfo(torch.float64).tiny)
        self.key_norm = _norms(key_KD, chunk).nan_to_num(0).max().clamp(min=torch.finfo(torch.float64).tiny)
        self.margin = (query_QD.shape[1] + 8) * _ROUNDING
        # users may trade the precision of float32 products for speed
        self.fast = torch.get_float32_matmul_precision() == "highest"

    def block(self, q0: int, k0: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Scores of the chunk of queries that begins at ``q0`` with the keys from ``k0``, Tensor[q, k]."""
        queries = self.query_QD[q0 : q0 + self.chunk].double() / self.query_norm_Q[q0 : q0 + self.chunk, None]
        keys = self.key_KD[k0 : k0 + self.chunk].double() / self.key_norm
        return queries.to(dtype) @ keys.to(dtype).T

    def exact(self, pairs_P2: Tensor) -> Tensor:
        """float64[P]: the scores of (query, key) pairs."""
        size = max(1, self.chunk**2 // max(1, self.query_QD.shape[1]))
        parts = [
            (self.query_QD[q].double() * self.key_KD[k].double()).sum(dim=1) / self.query_norm_Q[q] / self.key_norm
            for q, k in (part.unbind(1) for part in pairs_P2.split(size))
        ]
        return torch.cat(parts)

    def at_least(self, threshold_q: Tensor, q0: int, k0: int) -> Tensor:
        """bool[q, k]: which scores of a block are no lower than their query's threshold; NaN counts as not lower."""
        if self.fast:
            scores_qk = self.block(q0, k0)
            ahead_qk = scores_qk >= (threshold_q + self.margin).float()[:, None]
            open_qk = ~(scores_qk < (threshold_q - self.margin).float()[:, None]) & ~ahead_qk
            if open_qk.sum() * _FEW <= open_qk.numel():
                place_P2 = open_qk.nonzero()
                exact_P = self.exact(place_P2 + torch.tensor([q0, k0], device=place_P2.device))
                ahead_qk[open_qk] = ~(exact_P < threshold_q[place_P2[:, 0]])
                return ahead_qk
        return ~(self.block(q0, k0, torch.float64) < threshold_q[:, None])


def best_keys(query_QD: Tensor, key_KD: Tensor, k: int, chunk: int = CHUNK) -> Tensor:
    """int64[Q, k]: the keys of the k highest scores of each query, best first; fewer where there are fewer keys."""
    scores, found = Scores(query_QD, key_KD, chunk), []
    for q0 in range(0, len(query_QD), chunk):
        best_qn = key_qn = None
        for k0 in range(0, len(key_KD), chunk):
            block_qk = scores.block(q0, k0)
            top_qn, place_qn = block_qk.topk(min(k, block_qk.shape[1]), dim=1)
            if best_qn is not None:
                top_qn, place_qn = torch.cat([best_qn, top_qn], dim=1), torch.cat([key_qn, place_qn + k0], dim=1)
            best_qn, order_qn = top_qn.sort(dim=1, descending=True, stable=True)
            best_qn, key_qn = best_qn[:, :k], place_qn.gather(1, order_qn)[:, :k]
        found.append(key_qn)
    return torch.cat(found)


def _norms(features_ND: Tensor, chunk: int) -> Tensor:
    return torch.cat([part.double().norm(dim=1) for part in features_ND.split(chunk)])
