"""The denoising contrast against a loop over rows, and its symmetries."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from one_peace.criterions import denoising_contrast
from tests.criterions.reference import slow_contrast

D = 6


def features(masked: int, units: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Student and teacher of any norm, and each student's teacher."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(n, D, dtype=torch.float64, generator=generator).requires_grad_() for n in (masked, units)
    )
    return student, teacher, torch.randint(units, (masked,), generator=generator)


@given(masked=st.integers(1, 8), units=st.integers(1, 8), eps=st.sampled_from([0.0, 0.1]), seed=st.integers(0, 99))
def test_denoising_contrast_and_its_gradient(masked: int, units: int, eps: float, seed: int) -> None:
    student, teacher, target = features(masked, units, seed)
    loss = denoising_contrast(student, teacher, target, logit_scale=2.5, label_smoothing=eps)
    rows, keys = student / student.norm(dim=1, keepdim=True), teacher / teacher.norm(dim=1, keepdim=True)
    slow = slow_contrast(rows, keys.detach(), target, 2.5, eps)
    torch.testing.assert_close(loss, slow)
    (ours,), (reference,) = torch.autograd.grad(loss, [student]), torch.autograd.grad(slow, [student])
    torch.testing.assert_close(ours, reference)


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 10))
def test_order_and_length_of_features_do_not_matter(seed: int, scale: float) -> None:
    student, teacher, target = features(5, 7, seed)
    loss = denoising_contrast(student, teacher, target, logit_scale=2.5, label_smoothing=0.1)
    generator = torch.Generator().manual_seed(seed)
    rows, units = torch.randperm(5, generator=generator), torch.randperm(7, generator=generator)
    moved = units.argsort()[target[rows]]  # where each student's teacher went
    again = denoising_contrast(
        scale * student[rows], teacher[units] / scale, moved, logit_scale=2.5, label_smoothing=0.1
    )
    torch.testing.assert_close(again, loss)


@given(seed=st.integers(0, 99))
def test_its_own_teacher_is_the_best_student(seed: int) -> None:
    student, teacher, target = features(5, 7, seed)
    best = denoising_contrast(teacher[target], teacher, target, logit_scale=200.0)
    assert best < denoising_contrast(student, teacher, target, logit_scale=200.0)


def test_nothing_masked_keeps_the_graph_connected() -> None:
    features_2D = torch.randn(2, D, requires_grad=True)
    loss = denoising_contrast(features_2D[:0], torch.randn(3, D), torch.empty(0, dtype=torch.long), logit_scale=2.5)
    loss.backward()
    assert loss == 0 and not features_2D.grad.any()


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher, target = features(3, 4, 0)
    denoising_contrast(student, teacher, target, logit_scale=2.5).backward()
    assert teacher.grad is None and student.grad.any()


def test_float16_features_are_normalised_in_float32() -> None:
    """The norm of large features leaves float16's range, and so does the floor that keeps 0 / 0 away."""
    student, teacher, target = features(6, 6, 0)
    student, teacher = (5e4 * x.detach().sign() for x in (student, teacher))
    student[0] = 0
    half = denoising_contrast(student.half(), teacher.half(), target, logit_scale=2.5)
    exact = denoising_contrast(student, teacher, target, logit_scale=2.5)
    torch.testing.assert_close(half.double(), exact, rtol=0, atol=1e-3)
