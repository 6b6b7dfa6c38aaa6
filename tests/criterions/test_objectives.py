"""The objectives against slow references written out here, and two real ranks against one process."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given
from hypothesis import strategies as st

from one_peace.criterions import aligning_contrast, denoising_contrast, label_smoothed_cross_entropy

D = 6


def unit(rows: int, seed: int) -> torch.Tensor:
    x = torch.randn(rows, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (x / x.norm(dim=-1, keepdim=True)).requires_grad_()


def slow_cross_entropy(logits: torch.Tensor, target: int, eps: float) -> torch.Tensor:
    """One row: true class 1 - eps, the others eps / (C - 1) each."""
    logp = logits - logits.logsumexp(0)
    return -sum(
        (1 - eps if c == target else eps / (len(logits) - 1)) * logp[c] for c in range(len(logits)) if len(logits) > 1
    )


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("with_grad", [False, True])
def test_aligning_contrast_and_its_gradient(eps: float, with_grad: bool) -> None:
    a, b, scale = unit(5, 0), unit(5, 1), torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    loss, a_correct, b_correct = aligning_contrast(a, b, scale, label_smoothing=eps, gather_with_grad=with_grad)
    keys_a, keys_b = (a, b) if with_grad else (a.detach(), b.detach())
    slow = torch.zeros((), dtype=torch.float64)
    for i in range(5):
        slow = slow + slow_cross_entropy(torch.stack([scale * a[i] @ keys_b[j] for j in range(5)]), i, eps) / 10
        slow = slow + slow_cross_entropy(torch.stack([scale * b[i] @ keys_a[j] for j in range(5)]), i, eps) / 10
    torch.testing.assert_close(loss, slow)
    ours, reference = torch.autograd.grad(loss, [a, b, scale]), torch.autograd.grad(slow, [a, b, scale])
    for x, y in zip(ours, reference, strict=True):
        torch.testing.assert_close(x, y)
    similarity = a @ b.T
    assert a_correct == sum(int(similarity[i].argmax() == i) for i in range(5))
    assert b_correct == sum(int(similarity[:, i].argmax() == i) for i in range(5))


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_denoising_contrast_and_its_gradient(lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = (len(lengths), max(lengths) + 1)
    student = torch.randn(*size, D, dtype=torch.float64, generator=generator).requires_grad_()
    teacher = torch.randn(*size, D, dtype=torch.float64, generator=generator).requires_grad_()
    padding = torch.arange(size[1])[None] > torch.tensor(lengths)[:, None]
    mask = (torch.rand(size, generator=generator) < 0.5) & ~padding
    mask[:, 0] = False
    loss = denoising_contrast(student, teacher, mask, padding, logit_scale=2.5, label_smoothing=0.1)
    classes = [(i, j) for i, n in enumerate(lengths) for j in range(1, n + 1)]
    rows = [(i, j) for i, j in classes if mask[i, j]]
    terms = []
    for i, j in rows:
        s = student[i, j] / student[i, j].norm()
        logits = torch.stack([2.5 * s @ (teacher[k] / teacher[k].norm()).detach() for k in classes])
        terms.append(slow_cross_entropy(logits, classes.index((i, j)), 0.1))
    if not rows or len(classes) == 1:
        assert float(loss.detach()) == 0
        return
    slow = sum(terms) / len(terms)
    torch.testing.assert_close(loss, slow)
    (ours,), (reference,) = torch.autograd.grad(loss, [student]), torch.autograd.grad(slow, [student])
    torch.testing.assert_close(ours, reference)


def test_nothing_masked_keeps_the_graph_connected() -> None:
    student = torch.randn(2, 3, D, requires_grad=True)
    mask = torch.zeros(2, 3, dtype=torch.bool)
    loss = denoising_contrast(student, student.detach(), mask, None, logit_scale=2.5)
    loss.backward()
    assert loss == 0 and not student.grad.any()


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = torch.randn(1, 4, D, requires_grad=True), torch.randn(1, 4, D, requires_grad=True)
    mask = torch.tensor([[False, True, False, True]])
    denoising_contrast(student, teacher, mask, None, logit_scale=2.5).backward()
    assert teacher.grad is None


def test_label_smoothing_spreads_over_the_other_classes() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    p = logits.softmax(1)[0]
    expected = -(0.8 * math.log(p[0]) + 0.1 * math.log(p[1]) + 0.1 * math.log(p[2]))
    assert label_smoothed_cross_entropy(logits, torch.tensor([0]), 0.2).item() == pytest.approx(expected)


# -- two ranks --------------------------------------------------------------------------------------------------------


def _rank(rank: int, folder: str, split: int, with_grad: bool) -> None:
    """One of two real processes: its rows of the batch, and the gradient averaged over ranks."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    rows = slice(None, split) if rank == 0 else slice(split, None)
    weight = torch.eye(D, dtype=torch.float64).requires_grad_()
    a, b = (unit(6, seed).detach()[rows] @ weight for seed in (0, 1))
    loss, a_correct, b_correct = aligning_contrast(
        a, b, torch.tensor(3.0, dtype=torch.float64), gather_with_grad=with_grad
    )
    loss.backward()
    total = torch.stack([loss.detach(), a_correct.double(), b_correct.double()])
    for tensor in (weight.grad, total):
        dist.all_reduce(tensor)
    if rank == 0:
        torch.save({"grad": weight.grad / 2, "loss": total[0] / 2, "correct": total[1:]}, f"{folder}/out.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("with_grad", [False, True])
def test_two_ranks_equal_one_process(tmp_path: Path, with_grad: bool) -> None:
    mp.start_processes(_rank, (str(tmp_path), 3, with_grad), nprocs=2, start_method="fork")
    two = torch.load(tmp_path / "out.pt", weights_only=True)
    weight = torch.eye(D, dtype=torch.float64).requires_grad_()
    a, b = (unit(6, seed).detach() @ weight for seed in (0, 1))
    loss, *correct = aligning_contrast(a, b, torch.tensor(3.0, dtype=torch.float64), gather_with_grad=with_grad)
    loss.backward()
    torch.testing.assert_close(two["loss"], loss.detach())
    torch.testing.assert_close(two["grad"], weight.grad)
    assert two["correct"].tolist() == [float(c) for c in correct]


def test_ranks_may_hold_batches_of_different_sizes(tmp_path: Path) -> None:
    mp.start_processes(_rank, (str(tmp_path), 2, True), nprocs=2, start_method="fork")
    two = torch.load(tmp_path / "out.pt", weights_only=True)
    a, b = unit(6, 0), unit(6, 1)
    rows = [
        (slow_cross_entropy(3 * a[i] @ b.T, i, 0) + slow_cross_entropy(3 * b[i] @ a.T, i, 0)).item() / 2
        for i in range(6)
    ]
    assert two["loss"].item() == pytest.approx((sum(rows[:2]) / 2 + sum(rows[2:]) / 4) / 2)
