"""Position tables of other patch grids. Recorded numbers of growing ones: ``tests/parity_upgrade.py``."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from one_peace.modalities.image.resize import resize_distances, resize_positions, sine_positions

GRIDS = st.integers(1, 20)


def bump(grid: int) -> torch.Tensor:
    """A smooth table of one head: near distances weigh most."""
    distance = torch.arange(1 - grid, grid, dtype=torch.float64)
    return torch.exp(-(distance[:, None] ** 2 + distance[None, :] ** 2) / 40).reshape(-1, 1)


@given(old=GRIDS, new=GRIDS)
def test_a_constant_stays_a_constant(old: int, new: int) -> None:
    table = torch.tensor([2.0, -1.0]).expand((2 * old - 1) ** 2, -1)
    resized = resize_distances(table, new)
    assert resized.shape == ((2 * new - 1) ** 2, 2)
    torch.testing.assert_close(resized, table[:1].expand_as(resized))
    torch.testing.assert_close(resize_positions(torch.ones(1 + old**2, 3), new, old), torch.ones(1 + new * old, 3))


@given(old=st.integers(2, 16), new=st.integers(2, 16), seed=st.integers(0, 99))
def test_no_distance_and_neighbours_stay_what_they_are(old: int, new: int, seed: int) -> None:
    """In both directions; and with it the symmetries of a table."""
    table = torch.randn(2 * old - 1, 2 * old - 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    resized = resize_distances(table.reshape(-1, 1), new).view(2 * new - 1, 2 * new - 1)
    old_near, new_near = slice(old - 2, old + 1), slice(new - 2, new + 1)
    torch.testing.assert_close(resized[new_near, new_near], table[old_near, old_near])
    mirrored = resize_distances(table.T.reshape(-1, 1), new).view_as(resized)
    torch.testing.assert_close(mirrored, resized.T)
    flipped = resize_distances(table.flip(0).reshape(-1, 1), new).view_as(resized)
    torch.testing.assert_close(flipped, resized.flip(0))


@pytest.mark.parametrize(("old", "new"), [(16, 8), (24, 16), (16, 2), (5, 3)])
def test_a_smaller_table_reaches_as_far_as_the_larger_one(old: int, new: int) -> None:
    table = torch.randn((2 * old - 1) ** 2, 3, dtype=torch.float64)
    resized = resize_distances(table, new)
    if new > 2:  # in a grid of 2 the farthest are the neighbours
        torch.testing.assert_close(resized[[0, -1]], table[[0, -1]], atol=1e-4, rtol=1e-4)
    assert resized.abs().max() < 2 * table.abs().max()


@pytest.mark.parametrize("larger", [20, 24, 32])
def test_there_and_back(larger: int) -> None:
    table = bump(16)
    torch.testing.assert_close(resize_distances(resize_distances(table, larger), 16), table, atol=1e-4, rtol=0)


def test_the_same_grid_is_the_same_tensor() -> None:
    table, positions = torch.randn(49, 2), torch.randn(17, 2)
    assert resize_distances(table, 4) is table and resize_positions(positions, 4, 4) is positions


def test_positions_keep_cls_and_pass_gradients_on() -> None:
    positions = torch.randn(17, 2, requires_grad=True)
    resized = resize_positions(positions, 6, 3)
    assert torch.equal(resized[0], positions[0])
    resized.sum().backward()
    assert positions.grad.abs().min() > 0


def test_half_precision_tables_are_resized_in_full() -> None:
    table = bump(8).half()
    resized = resize_distances(table, 12)
    assert resized.dtype == torch.float16
    torch.testing.assert_close(resized.double(), resize_distances(table.double(), 12), atol=1e-3, rtol=0)


@given(grid=st.integers(2, 20), quarter=st.integers(20, 48))
def test_sines_tell_every_place_apart_and_depend_on_one_side_each(grid: int, quarter: int) -> None:
    table = sine_positions(grid, 4 * quarter)
    assert torch.cdist(table, table).add(torch.eye(grid**2) * 9).min() > 1e-3
    x, y = table.view(grid, grid, 2, 2 * quarter).unbind(2)
    torch.testing.assert_close(x, x[:1].expand_as(x))
    torch.testing.assert_close(y, y[:, :1].expand_as(y))
    torch.testing.assert_close(x[0], y[:, 0])
    torch.testing.assert_close(table.pow(2).sum(1), torch.full((grid**2,), 2.0 * quarter))
