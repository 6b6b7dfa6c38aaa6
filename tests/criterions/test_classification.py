"""Losses over logits against loops over samples."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.criterions import classification_loss, hinge_loss

SEEDS = st.integers(0, 999)


def logits(rows: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3


@given(rows=st.integers(1, 5), classes=st.integers(1, 6), eps=st.sampled_from([0.0, 0.1]), seed=SEEDS)
def test_one_class_a_sample(rows: int, classes: int, eps: float, seed: int) -> None:
    x = logits(rows, classes, seed)
    target = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))
    loss, correct = classification_loss(x, target, label_smoothing=eps)
    logp = x - x.logsumexp(1, keepdim=True)
    slow = sum(-(1 - eps) * logp[i, t] - eps * logp[i].mean() for i, t in enumerate(target))
    torch.testing.assert_close(loss, slow)
    assert correct == sum(int(x[i].argmax() == t) for i, t in enumerate(target))


def test_shares_of_classes_as_after_mixup() -> None:
    x, shares = logits(2, 3, 0), torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    loss, correct = classification_loss(x, shares)
    a, _ = classification_loss(x[:1], torch.tensor([0]))
    b, _ = classification_loss(x[:1], torch.tensor([1]))
    c, _ = classification_loss(x[1:], torch.tensor([2]))
    torch.testing.assert_close(loss, 0.7 * a + 0.3 * b + c, atol=1e-6, rtol=1e-6)
    assert correct.item() == pytest.approx(sum(float(shares[i, x[i].argmax()]) for i in range(2)))


@given(rows=st.integers(1, 4), classes=st.integers(1, 5), seed=SEEDS)
def test_several_labels_a_sample(rows: int, classes: int, seed: int) -> None:
    x = logits(rows, classes, seed)
    scores = torch.rand(rows, classes, generator=torch.Generator().manual_seed(seed))
    loss, correct = classification_loss(x, scores, multi_label=True)
    slow = sum(
        -float(s) * math.log(1 / (1 + math.exp(-v))) - (1 - float(s)) * math.log(1 / (1 + math.exp(v)))
        for v, s in zip(x.flatten().tolist(), scores.flatten(), strict=True)
    )
    assert loss.item() == pytest.approx(slow)
    assert correct.item() == pytest.approx(sum(float(scores[i, x[i].argmax()]) for i in range(rows)))


def test_several_labels_need_scores() -> None:
    with pytest.raises(ValueError, match="use_multi_label"):
        classification_loss(logits(2, 3, 0), torch.tensor([0, 1]), multi_label=True)


@given(rows=st.integers(1, 4), choices=st.integers(1, 5), margin=st.sampled_from([0.5, 1.0, 2.0]), seed=SEEDS)
def test_hinge(rows: int, choices: int, margin: float, seed: int) -> None:
    x = logits(rows, choices, seed)
    target = torch.randint(choices, (rows,), generator=torch.Generator().manual_seed(seed))
    loss, correct = hinge_loss(x, target, margin=margin)
    slow = sum(
        max(0.0, margin + float(x[i, c] - x[i, t])) for i, t in enumerate(target) for c in range(choices) if c != t
    )
    assert loss.item() == pytest.approx(slow)
    assert correct == sum(int(x[i].argmax() == t) for i, t in enumerate(target))
    # the release counts the right choice too, and knows one margin
    released, _ = hinge_loss(x, target, margin=margin, release=True)
    torch.testing.assert_close(released, hinge_loss(x, target, margin=1.0)[0] + rows)


def test_hinge_is_satisfied_beyond_the_margin() -> None:
    x = torch.tensor([[3.0, 1.9, 0.0]], requires_grad=True)
    loss, _ = hinge_loss(x, torch.tensor([0]), margin=1.0)
    loss.backward()
    assert loss == 0 and not x.grad.any()


def test_half_precision_logits_are_summed_in_single() -> None:
    x = torch.full((400, 300), 8.0, dtype=torch.float16)
    assert classification_loss(x, torch.zeros_like(x), multi_label=True)[0].isfinite()
    assert hinge_loss(x, torch.zeros(400, dtype=torch.long))[0] == 400 * 299
