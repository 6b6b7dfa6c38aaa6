"""Recall over a whole evaluation set and all ranks.

Shapes: A / B items of the two modalities, P true pairs, D features, N rows of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from one_peace.metrics.gather import Rows
from one_peace.metrics.meter import Meter
from one_peace.metrics.recall import KS, chance_recall, recall_report, retrieval_recall
from one_peace.metrics.scores import best_keys


@dataclass(frozen=True)
class RetrievalItems:
    """The distinct items of an evaluation set, ordered by key: ``pairs_P2`` indexes rows of a and of b."""

    key_A: Tensor
    features_AD: Tensor
    key_B: Tensor
    features_BD: Tensor
    pairs_P2: Tensor


class RetrievalMeter(Meter):
    """Collects the features of items and which belong together, and reports recall over all ranks.

    An item is known by its key, a number made of its content: an image with five captions is one image with five true
    captions, and a caption shared by two images is true for both. Repeated samples change nothing. An item without a
    partner is no query; it is still there to be found by mistake.

    Args:
        a, b: prefixes of the two modalities in the report.
        ks: the k of each recall@k.
    """

    def __init__(self, a: str, b: str, ks: Sequence[int] = KS):
        self.a, self.b, self.ks = a, b, tuple(ks)
        self._a, self._b, self._pairs = Rows(), Rows(), Rows()
        self._device = torch.device("cpu")

    def reset(self) -> None:
        for rows in (self._a, self._b, self._pairs):
            rows.clear()

    def __len__(self) -> int:
        """Pairs added on this rank, repetitions included."""
        return len(self._pairs)

    def names(self) -> list[str]:
        nothing = dict.fromkeys(self.ks, 0.0)
        return list(recall_report(self.a, self.b, nothing, nothing))

    def add(self, key_a_N: Tensor, features_a_ND: Tensor, key_b_N: Tensor, features_b_ND: Tensor) -> None:
        """Add a batch of pairs: row i of a (its int64 key and feature) belongs to row i of b."""
        self.add_a(key_a_N, features_a_ND)
        self.add_b(key_b_N, features_b_ND)
        self.add_pairs(key_a_N, key_b_N)

    def add_a(self, key_N: Tensor, features_ND: Tensor) -> None:
        """Add items of a."""
        self._a.add(key_N, _unit(features_ND))
        self._device = features_ND.device

    def add_b(self, key_N: Tensor, features_ND: Tensor) -> None:
        """Add items of b."""
        self._b.add(key_N, _unit(features_ND))
        self._device = features_ND.device

    def add_pairs(self, key_a_N: Tensor, key_b_N: Tensor) -> None:
        """Say which items belong together; both are added at some time, on any rank."""
        self._pairs.add(key_a_N, key_b_N.long())

    def gather(self) -> RetrievalItems:
        a, b, pairs = self._a.distinct(), self._b.distinct(), self._pairs.gather()
        if not (a and b and pairs):
            raise ValueError("no retrieval pair was added on any rank")
        places = [torch.searchsorted(rows[0], key) for rows, key in zip((a, b), pairs, strict=True)]
        pairs_P2 = torch.stack(places, dim=1).unique(dim=0)
        return RetrievalItems(a[0], a[1], b[0], b[1], pairs_P2)

    def score(self, gathered: RetrievalItems) -> dict[str, float]:
        """Recall in percent, by the released names."""
        a_AD, b_BD, pairs_P2 = self._on_device(gathered)
        forward = _recall(a_AD, b_BD, pairs_P2, self.ks)
        backward = _recall(b_BD, a_AD, pairs_P2.flip(1), self.ks)
        return recall_report(self.a, self.b, forward, backward)

    def best(self, gathered: RetrievalItems, k: int) -> tuple[Tensor, Tensor]:
        """The places of the k best items of b for each of a, int64[A, k], and of a for each of b, int64[B, k]."""
        a_AD, b_BD, _ = self._on_device(gathered)
        return best_keys(a_AD, b_BD, k).cpu(), best_keys(b_BD, a_AD, k).cpu()

    def chance(self) -> dict[str, float]:
        """What :meth:`compute` would give on average for random rankings, by the same names; a collective."""
        items = self.gather()
        forward = chance_recall(items.pairs_P2, len(items.key_B), self.ks)
        backward = chance_recall(items.pairs_P2.flip(1), len(items.key_A), self.ks)
        return recall_report(self.a, self.b, forward, backward)

    def _on_device(self, items: RetrievalItems) -> tuple[Tensor, Tensor, Tensor]:
        """Features and pairs where the model computed them."""
        return tuple(x.to(self._device) for x in (items.features_AD, items.features_BD, items.pairs_P2))


def _recall(query_QD: Tensor, key_KD: Tensor, pairs_P2: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """Recall of the queries that have a true key."""
    asked, index_P = pairs_P2[:, 0].unique(return_inverse=True)
    return retrieval_recall(query_QD[asked], key_KD, torch.stack([index_P, pairs_P2[:, 1]], dim=1), ks)


def _unit(features_ND: Tensor) -> Tensor:
    """float32; half precision rounds what was of unit norm, by factors that would favour some items for every query."""
    return features_ND if features_ND.dtype == torch.float32 else F.normalize(features_ND.float(), dim=-1)
