"""The aligning contrast against a loop over rows, and two real ranks against one process."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch._subclasses import FakeTensorMode

from one_peace.criterions import aligning_contrast
from one_peace.criterions.aligning import gather_pairs, join_as_nobody
from tests.criterions.reference import PeakBytes, slow_contrast, slow_row, unit


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("with_grad", [False, True])
def test_aligning_contrast_and_its_gradient(eps: float, with_grad: bool) -> None:
    a, b, scale = unit(5, 0), unit(5, 1), torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    loss, a_correct, b_correct = aligning_contrast(a, b, scale, label_smoothing=eps, gather_with_grad=with_grad)
    keys_a, keys_b = (a, b) if with_grad else (a.detach(), b.detach())
    target = torch.arange(5)
    slow = (slow_contrast(a, keys_b, target, scale, eps) + slow_contrast(b, keys_a, target, scale, eps)) / 2
    torch.testing.assert_close(loss, slow)
    ours, reference = torch.autograd.grad(loss, [a, b, scale]), torch.autograd.grad(slow, [a, b, scale])
    for x, y in zip(ours, reference, strict=True):
        torch.testing.assert_close(x, y)
    similarity = a @ b.T
    assert a_correct == sum(int(similarity[i].argmax() == i) for i in range(5))
    assert b_correct == sum(int(similarity[:, i].argmax() == i) for i in range(5))


@pytest.mark.parametrize("with_grad", [False, True])
def test_a_large_batch_fits_in_half_a_gibibyte_and_is_not_read_by_the_host(with_grad: bool) -> None:
    with FakeTensorMode():  # sizes without numbers: reading one raises
        a, b = (torch.empty(4096, 1536, requires_grad=True) for _ in range(2))
        scale = torch.empty((), requires_grad=True)
        with PeakBytes() as count:
            aligning_contrast(a, b, scale, label_smoothing=0.1, gather_with_grad=with_grad)[0].backward()
    assert count.peak < 2**29


# -- two ranks --------------------------------------------------------------------------------------------------------


def _rank(rank: int, folder: str, split: int, with_grad: bool) -> None:
    """One of two real processes: its rows of the batch, and the gradient averaged over ranks."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    rows = slice(None, split) if rank == 0 else slice(split, None)
    weight = torch.eye(6, dtype=torch.float64).requires_grad_()
    a, b = (unit(6, seed).detach()[rows] @ weight for seed in (0, 1))
    if len(a):
        loss, *correct = aligning_contrast(
            a, b, torch.tensor(3.0, dtype=torch.float64), label_smoothing=0.1, gather_with_grad=with_grad
        )
    else:  # a rank without a batch borrows one to take part in the collectives
        a, b = (unit(2, seed).detach() @ weight for seed in (2, 3))
        loss, correct = join_as_nobody(a, b, gather_with_grad=with_grad), [torch.tensor(0)] * 2
    loss.backward()
    total = torch.stack([loss.detach(), *(count.double() for count in correct)])
    for tensor in (weight.grad, total):
        dist.all_reduce(tensor)
    if rank == 0:
        torch.save({"grad": weight.grad / 2, "loss": total[0] / 2, "correct": total[1:]}, f"{folder}/out.pt")
    dist.destroy_process_group()


def two_ranks(folder: Path, split: int, with_grad: bool) -> dict[str, torch.Tensor]:
    """Mean loss and gradient of two ranks with ``split`` and ``6 - split`` rows, and their summed counts."""
    mp.start_processes(_rank, (str(folder), split, with_grad), nprocs=2, start_method="fork")
    return torch.load(folder / "out.pt", weights_only=True)


@pytest.mark.parametrize(("split", "share"), [(3, 1.0), (6, 0.5)], ids=["half each", "one has nothing"])
@pytest.mark.parametrize("with_grad", [False, True])
def test_two_ranks_equal_one_process(tmp_path: Path, with_grad: bool, split: int, share: float) -> None:
    two = two_ranks(tmp_path, split, with_grad)
    weight = torch.eye(6, dtype=torch.float64).requires_grad_()
    a, b = (unit(6, seed).detach() @ weight for seed in (0, 1))
    loss, *correct = aligning_contrast(
        a, b, torch.tensor(3.0, dtype=torch.float64), label_smoothing=0.1, gather_with_grad=with_grad
    )
    (share * loss).backward()
    torch.testing.assert_close(two["loss"], share * loss.detach())
    torch.testing.assert_close(two["grad"], weight.grad)
    assert two["correct"].tolist() == [float(c) for c in correct]


@pytest.mark.parametrize("with_grad", [False, True])
def test_ranks_may_hold_batches_of_different_sizes(tmp_path: Path, with_grad: bool) -> None:
    two = two_ranks(tmp_path, 2, with_grad)
    a, b = unit(6, 0), unit(6, 1)
    rows = [(slow_row(3 * a[i] @ b.T, i, 0.1) + slow_row(3 * b[i] @ a.T, i, 0.1)).item() / 2 for i in range(6)]
    assert two["loss"].item() == pytest.approx((sum(rows[:2]) / 2 + sum(rows[2:]) / 4) / 2)


def _collectives(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    a, b = unit(3, rank), unit(3, 10 + rank)
    keys_a, keys_b, first = gather_pairs(a[: 2 + rank], b[: 2 + rank], with_grad=False)
    torch.testing.assert_close(keys_a, torch.cat([unit(3, 0)[:2], unit(3, 1)]).detach())
    torch.testing.assert_close(keys_b, torch.cat([unit(3, 10)[:2], unit(3, 11)]).detach())
    assert first == 2 * rank and not keys_a.requires_grad
    dist.destroy_process_group()


def test_gathered_rows_stand_in_order_of_rank(tmp_path: Path) -> None:
    mp.start_processes(_collectives, (str(tmp_path),), nprocs=2, start_method="fork")
