"""A contour as maps over its start: the cyclic form of its distance matrix, and its signed triangles.

With D the distance matrix of n points, the cyclic form is E[k, i] = D[i, (i + k) mod n]. Starting the contour s points
later rolls E along i by s; running it backwards is `reverse`. Because D is symmetric, the lags k = 1 .. n/2 hold
everything. A matrix that need not be symmetric has the lags k = 0 .. n - 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A contour of scale 1 that encloses less has no clear inside, and its triangles fade away with its area.
_LEAST_AREA = 0.05


def cyclic_form(points: Tensor) -> Tensor:
    """Contours (b, n, 2) -> distances (b, n // 2, n): entry [k - 1, i] is that of the points i and i + k."""
    n = points.shape[1]
    ahead = _ahead(n, 1, n // 2, points.device)
    # The small constant keeps the gradient finite where two points meet; it moves a distance of 1 by 5e-13.
    return ((points[:, ahead] - points[:, None]).square().sum(-1) + 1e-12).sqrt()


def full_form(matrices: Tensor) -> Tensor:
    """Matrices (b, n, n) -> (b, n, n): entry [k, i] is that of row i and column i + k."""
    n = matrices.shape[-1]
    return matrices.transpose(1, 2).gather(1, _ahead(n, 0, n, matrices.device).expand_as(matrices))


def triangle_form(points: Tensor) -> Tensor:
    """Contours (b, n, 2) -> twice the area of the triangle of the points i - k, i, i + k (b, (n - 1) // 2, n).

    The triangle-area representation of Alajlan et al. (2007): positive where the contour bulges outwards, negative in a
    hollow, which distances tell only together. The sign is taken from the side on which the contour's inside lies, so
    that rotation, reflection and direction do not change it.
    """
    n = points.shape[1]
    lags = (n - 1) // 2
    ahead = _ahead(n, 1, lags, points.device)
    behind = (torch.arange(n, device=points.device) - torch.arange(1, lags + 1, device=points.device)[:, None]) % n
    forwards, backwards = points[:, ahead] - points[:, None], points[:, behind] - points[:, None]
    return _cross(forwards, backwards) * (signed_area(points) / _LEAST_AREA).clamp(-1, 1)[:, None, None]


def signed_area(points: Tensor) -> Tensor:
    """Enclosed area (b,) of contours (b, n, 2), positive where x turns to y along the contour."""
    return _cross(points, points.roll(-1, 1)).sum(1) / 2


def oriented_with(points: Tensor, flags: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Contours (b, n, 2), those of negative area run backwards, and the flags (b, n) of their points with them."""
    backwards = signed_area(points) < 0
    if flags is not None:
        flags = torch.where(backwards[:, None], flags.flip(1), flags)
    return torch.where(backwards[:, None, None], points.flip(1), points), flags


def reverse(form: Tensor) -> Tensor:
    """The cyclic or full form (b, lags, n) of the same symmetric matrix run backwards: E'[k, i] = E[k, -i - k]."""
    lags, n = form.shape[-2:]
    lag = torch.arange(lags, device=form.device)[:, None] + first_lag(form)
    source = (-torch.arange(n, device=form.device) - lag) % n
    return form.gather(-1, source.expand(len(form), -1, -1))


def first_lag(form: Tensor) -> int:
    """0 for a full form (b, n, n), 1 for a cyclic one (b, n // 2, n)."""
    return int(form.shape[-2] != form.shape[-1])


def pairs_of(flags: Tensor, lags: int) -> Tensor:
    """Flags of points (b, n) -> (b, lags, n): whether the point i or the point i + k of an entry has one."""
    n = flags.shape[1]
    ahead = _ahead(n, int(lags != n), lags, flags.device)
    return flags[:, ahead] | flags[:, None]


def _ahead(n: int, first: int, lags: int, device: torch.device) -> Tensor:
    """Index (lags, n) of the point `first`, `first` + 1 ... places after each point."""
    start = torch.arange(n, device=device)
    return (start + torch.arange(first, first + lags, device=device)[:, None]) % n


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
