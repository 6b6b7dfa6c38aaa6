"""Mixup and cutmix of batches."""

import pytest
import torch

from one_peace.data.mixing import Mixing
from one_peace.data.randomness import lend

VALUES = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8).contiguous()
LABELS = torch.tensor([0, 1, 2, 0])


def mix(seed=0, **alphas):
    options = {"mixup": 0.0, "cutmix": 0.0, **alphas}
    return Mixing("image", 3, **options)(VALUES, {"labels": LABELS}, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alphas", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_targets_are_mixed_as_the_pictures_are(alphas):
    for seed in range(20):
        values, target = mix(seed, **alphas)
        scores = target["scores"]
        assert set(target) == {"scores"} and scores.dtype == torch.float32
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(4))
        for i in range(4):  # picture i is i everywhere; its partner is the one before
            share = (i - values[i].mean()) / (i - (i - 1) % 4)  # of the partner
            expected = torch.zeros(3).index_add(0, LABELS[[i, (i - 1) % 4]], torch.stack([1 - share, share]))
            torch.testing.assert_close(scores[i], expected, atol=1e-5, rtol=0)


def test_one_way_or_the_other():
    kinds = {len(mix(seed, mixup=0.8, cutmix=1.0)[0][1].unique()) for seed in range(40)}
    assert kinds == {1, 2}  # blended: one value all over; pasted: two
    assert {len(mix(seed, mixup=0.8)[0][1].unique()) for seed in range(20)} == {1}


def test_mixing_follows_the_generator_and_leaves_global_randomness_alone():
    state = torch.get_rng_state()
    first, second, other = (mix(seed, mixup=0.8, cutmix=1.0)[0] for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("alphas", [{}, {"mixup": -1.0, "cutmix": 1.0}, {"cutmix": float("nan")}])
def test_wrong_alphas(alphas):
    with pytest.raises(ValueError, match="neither may be negative"):
        mix(**alphas)


def test_a_lent_generator_is_given_back_after_an_error():
    state, generator = torch.get_rng_state(), torch.Generator().manual_seed(3)
    with pytest.raises(KeyError), lend(generator):
        torch.rand(5)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)
    with lend(torch.Generator().manual_seed(3)):
        first = torch.rand(2)
    with lend(torch.Generator().manual_seed(3)):
        assert torch.equal(first, torch.rand(2))
