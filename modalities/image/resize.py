"""Position tables of a patch grid: initial ones, and those of another grid made to fit.

Legend: G patches a side of the old grid, D width, H heads; a relative table has 2G - 1 distances a side.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

_STEEPEST = 1.5  # the release's bounds of the ratio where a table grows
_FLATTEST = 1.01


def sine_positions(grid: int, dim: int) -> Tensor:
    """Tensor[grid*grid, dim]: sines and cosines of x and of y, at ``dim / 4`` frequencies up to half a period a patch.

    Raises:
        ValueError: ``dim`` is no multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"sine_positions: a width of {dim} is no multiple of 4")
    frequency_F = torch.arange(1, dim // 4 + 1) * torch.pi / (dim // 4)
    y_NF, x_NF = (
        place.flatten()[:, None] * frequency_F
        for place in torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    )
    return torch.cat([x_NF.sin(), x_NF.cos(), y_NF.sin(), y_NF.cos()], dim=1)


def resize_positions(table_LD: Tensor, height: int, width: int) -> Tensor:
    """Absolute positions Tensor[1 + G*G, D], CLS first -> Tensor[1 + height*width, D], bicubic; differentiable."""
    side = round((len(table_LD) - 1) ** 0.5)
    if side == height == width:
        return table_LD
    patches_DGG = table_LD[1:].T.reshape(1, -1, side, side)
    resized = F.interpolate(patches_DGG.float(), size=(height, width), mode="bicubic", align_corners=False)
    return torch.cat([table_LD[:1], resized.flatten(2)[0].T.to(table_LD)])


def resize_distances(table_RH: Tensor, grid: int) -> Tensor:
    """Relative positions Tensor[(2G - 1)^2, H], without CLS -> Tensor[(2 grid - 1)^2, H], after BEiT (Bao et al. 2022).

    Neighbours stay neighbours and the farthest distance stays the farthest; steps in between change by a constant
    ratio. Where the table grows, its entries are spread at such steps and read at the new integers, as the release
    does, which bounds the ratio. Where it shrinks, which the release cannot, it is the other way round: entries stay at
    their integers and are read at such steps. A cubic spline a head; beyond the last entry, that entry.
    """
    old, new = (round(len(table_RH) ** 0.5) + 1) // 2, grid
    if old == new:
        return table_RH
    if old == 1:
        return table_RH.expand((2 * new - 1) ** 2, -1).clone()
    bounds = (_FLATTEST, _STEEPEST) if new > old else (1.0, float(old))
    spread = _spread(min(old, new) - 1, max(old, new) - 1, *bounds)
    entries, places = (spread, _integers(new - 1)) if new > old else (_integers(old - 1), spread)
    degree = min(3, len(entries) - 1)
    values_HRR = table_RH.T.reshape(-1, 2 * old - 1, 2 * old - 1).double().cpu().numpy()
    splines = (RectBivariateSpline(entries, entries, values_RR, kx=degree, ky=degree, s=0) for values_RR in values_HRR)
    resized_HRR = np.stack([spline(places, places) for spline in splines])
    return torch.from_numpy(resized_HRR).flatten(1).T.to(table_RH)


def _integers(farthest: int) -> np.ndarray:
    return np.arange(-farthest, farthest + 1, dtype=np.float64)


def _spread(count: int, farthest: int, low: float, high: float) -> np.ndarray:
    """0, ±1, ±(1 + q), ±(1 + q + q^2), ...: ``count`` distances a side of which the last is ``farthest``.

    q is found by bisection between ``low`` and ``high``; at a bound the last distance falls short or goes beyond.
    """
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (ratio ** np.arange(count)).sum() > farthest:
            high = ratio
        else:
            low = ratio
    distances = np.cumsum(ratio ** np.arange(count))
    return np.concatenate([-distances[::-1], [0.0], distances])
