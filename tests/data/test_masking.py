"""Every mask as a property: exact counts, and which units may be masked."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.data.collate import collate_masks, pad_stack, padding_mask
from one_peace.data.masking import (
    MaskRule,
    cover_previous_mask,
    outside_previous_mask,
    random_mask,
    span_mask,
    whole_word_mask,
)

ratios = st.floats(0, 0.999)
seeds = st.integers(0, 2**62)
flags = st.lists(st.booleans(), max_size=80).map(lambda bits: torch.tensor(bits, dtype=torch.bool))


def generator(seed):
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 400), ratios, seeds)
def test_random_mask_counts_exactly(n, ratio, seed):
    mask = random_mask(n, ratio, generator(seed))
    assert mask.shape == (n,) and mask.dtype == torch.bool
    assert mask.sum() == int(n * ratio)


@given(flags, ratios, seeds)
def test_whole_words_are_masked_whole_and_counted(starts, ratio, seed):
    mask = whole_word_mask(starts, ratio, generator(seed))
    words = starts.long().cumsum(0)
    wanted = math.ceil(float(torch.tensor(float(starts.sum()), dtype=torch.float32) * ratio))
    assert (mask & starts).sum() == wanted
    for word in words.unique():
        inside = mask[words == word]
        assert inside.all() or not inside.any()
        assert word > 0 or not inside.any()  # what comes before the first word is never masked


@given(flags, ratios, seeds)
def test_outside_previous_is_disjoint_and_counted(previous, ratio, seed):
    mask = outside_previous_mask(previous, ratio, generator(seed))
    assert not (mask & previous).any()
    assert mask.sum() == min(int(len(previous) * ratio), int((~previous).sum()))


@given(st.integers(1, 400), ratios, ratios, seeds)
def test_cover_previous_covers_all_kept_and_counts(n, first, second, seed):
    draws = generator(seed)
    previous = random_mask(n, first, draws)
    kept = int((~previous).sum())
    if int(n * second) < kept:
        with pytest.raises(ValueError, match="fewer than"):
            cover_previous_mask(previous, second, draws)
        return
    mask = cover_previous_mask(previous, second, draws)
    assert mask[~previous].all()
    assert mask.sum() == int(n * second)


@given(st.integers(1, 800), ratios, st.integers(1, 12), st.floats(0, 0.5), seeds)
def test_span_mask_counts_exactly(n, ratio, length, adjust, seed):
    mask = span_mask(n, ratio, length, adjust, generator(seed))
    assert mask.shape == (n,)
    assert mask.sum() == int(n * ratio)


def test_span_mask_comes_in_spans():
    mask = span_mask(2000, 0.2, 10, 0.0, generator(1))
    edges = (mask[1:] != mask[:-1]).sum()
    assert edges < 200  # single frames would give about 640


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: random_mask(256, 0.75, g),
        lambda g: whole_word_mask(torch.ones(60, dtype=torch.bool), 0.4, g),
        lambda g: outside_previous_mask(torch.arange(60) % 7 == 0, 0.4, g),
        lambda g: cover_previous_mask(torch.arange(256) % 4 > 0, 0.6875, g),
        lambda g: span_mask(499, 0.55, generator=g),
    ],
)
def test_masks_follow_their_generator_alone(draw):
    torch.manual_seed(0)
    first = draw(generator(5))
    torch.manual_seed(1)
    assert torch.equal(draw(generator(5)), first)
    assert not torch.equal(draw(generator(6)), first)


def test_every_unit_is_masked_about_equally_often():
    draws = generator(0)
    counts = sum(random_mask(16, 0.75, draws).long() for _ in range(2000))
    assert counts.min() > 1400 and counts.max() < 1600


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, float("nan")])
def test_wrong_ratio_is_refused(ratio):
    with pytest.raises(ValueError, match="mask ratio"):
        MaskRule("random", ratio)


@given(st.lists(flags, min_size=1, max_size=5))
def test_kept_ids_and_masked_places_partition_each_sequence(masks):
    batch = collate_masks(masks)
    longest = max(map(len, masks))
    assert batch["mask_indices"].shape == (len(masks), 1 + longest)
    assert not batch["mask_indices"][:, 0].any()
    for row, mask in enumerate(masks):
        keep = batch["keep_ids"][row]
        ids = keep[keep >= 0].tolist()
        assert ids[0] == 0 and ids == sorted(ids)
        assert keep[len(ids) :].eq(-1).all()
        masked = batch["mask_indices"][row].nonzero().view(-1).tolist()
        assert sorted(ids + masked) == list(range(1 + len(mask)))
        assert [place - 1 for place in masked] == mask.nonzero().view(-1).tolist()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 12), st.sampled_from([1, 4, 8]))
def test_pad_stack_keeps_rows_and_fills_the_rest(lengths, length, multiple):
    out = pad_stack([torch.full((n, 2), 7) for n in lengths], -1, length, multiple)
    assert out.shape[1] % multiple == 0 and out.shape[1] >= max(length, *lengths)
    assert out.shape[1] < max(length, *lengths) + multiple
    for row, n in zip(out, lengths, strict=True):
        assert (row[:n] == 7).all() and (row[n:] == -1).all()


def test_padding_mask_counts_cls():
    assert padding_mask([2, 0]).tolist() == [[False, False, False], [False, True, True]]
