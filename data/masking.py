"""Which units of a sample are masked: pure functions of their arguments and of the generator's state.

Shape legend: N units of one sample, without CLS. All masks are bool[N], True = masked.
The order of the random draws is part of the interface: a generator of the same seed gives the same mask for ever.
"""

from dataclasses import dataclass

import torch
from torch import BoolTensor, Generator


@dataclass(frozen=True)
class MaskRule:
    """How one modality is masked in one pass: the reader's ``strategy`` and the share of units to mask, in [0, 1)."""

    strategy: str
    ratio: float

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise ValueError(f"mask ratio {self.ratio!r} of strategy {self.strategy!r}: must be in [0, 1)")


# masked pass (the modalities read together) -> the rule of each modality that is masked in it
MaskPlan = dict[tuple[str, ...], dict[str, MaskRule]]


def random_mask(num_units: int, ratio: float, generator: Generator | None = None) -> BoolTensor:
    """``int(N * ratio)`` units, uniformly without replacement."""
    num_kept = num_units - int(num_units * ratio)
    mask = torch.ones(num_units, dtype=torch.bool)
    mask[torch.randperm(num_units, generator=generator)[:num_kept]] = False
    return mask


def whole_word_mask(is_word_start: BoolTensor, ratio: float, generator: Generator | None = None) -> BoolTensor:
    """Whole words: ``ceil(float32(words) * ratio)`` of them, each with the tokens that continue it.

    Args:
        is_word_start: bool[N], whether a token begins a word; without EOS, which is never masked.
        ratio: share of the words.
    """
    starts = is_word_start.nonzero().view(-1)
    num_masked = int(torch.ceil(torch.tensor(float(len(starts)), dtype=torch.float32) * ratio))
    masked_words = torch.zeros(len(starts) + 1, dtype=torch.bool)
    # word 0 holds the tokens before the first start (a cut word, never masked); word k begins at starts[k - 1]
    masked_words[1 + torch.randperm(len(starts), generator=generator)[:num_masked]] = True
    return masked_words[is_word_start.long().cumsum(0)]


def outside_previous_mask(previous: BoolTensor, ratio: float, generator: Generator | None = None) -> BoolTensor:
    """``int(N * ratio)`` units out of those that ``previous`` (bool[N]) does not mask, or all of these if fewer."""
    free = (~previous).nonzero().view(-1)
    mask = torch.zeros_like(previous)
    mask[free[torch.randperm(len(free), generator=generator)[: int(len(previous) * ratio)]]] = True
    return mask


def cover_previous_mask(previous: BoolTensor, ratio: float, generator: Generator | None = None) -> BoolTensor:
    """``int(N * ratio)`` units: every one that ``previous`` (bool[N]) keeps, and some of the others.

    Raises:
        ValueError: ``ratio`` is too small to cover what ``previous`` keeps.
    """
    hidden = previous.nonzero().view(-1)
    num_masked = int(len(previous) * ratio)
    num_kept = len(previous) - num_masked
    if num_kept > len(hidden):
        raise ValueError(
            f"mask ratio {ratio} masks {num_masked} of {len(previous)} units, fewer than the "
            f"{len(previous) - len(hidden)} that the previous pass kept: raise one of the two ratios"
        )
    mask = torch.ones_like(previous)
    mask[hidden[torch.randperm(len(hidden), generator=generator)[:num_kept]]] = False
    return mask


def span_mask(
    num_units: int, ratio: float, length: int = 5, adjust: float = 0.1, generator: Generator | None = None
) -> BoolTensor:
    """``int(N * ratio)`` units in spans of ``length``.

    ``int(N * ((ratio + adjust) / length))`` centres are drawn with replacement; spans overlap and are clipped at the
    ends, so single units are then taken back or added at random until the count is exact.
    """
    num_masked = int(num_units * ratio)
    num_spans = int(num_units * ((ratio + adjust) / length))
    mask = torch.zeros(num_units, dtype=torch.bool)
    centres = torch.randint(0, num_units, (num_spans,), generator=generator)
    frames = (centres[:, None] + torch.arange(length) - length // 2).view(-1)
    mask[frames.clamp(0, num_units - 1)] = True
    surplus = int(mask.sum()) - num_masked
    if surplus:
        candidates = (mask if surplus > 0 else ~mask).float()
        mask[torch.multinomial(candidates, abs(surplus), generator=generator)] = surplus < 0
    return mask
