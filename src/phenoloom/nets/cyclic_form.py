"""A contour as maps over its start: the cyclic form of its distance matrix, and the signed angles of its points.

With D the distance matrix of n points, the cyclic form is E[k, i] = D[i, (i + k) mod n]. Starting the contour s points
later rolls E along i by s; running it backwards is `reverse`. Because D is symmetric, the lags k = 1 .. n/2 hold
everything. A matrix that need not be symmetric has the lags k = 0 .. n - 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A contour of scale 1 that encloses less has no clear inside, and its angles fade away with its area.
_LEAST_AREA = 0.05
# Nor has an angle between sides of no length.
_LEAST_SIDES = 1e-4
# Keeps the gradient of a distance finite where two points meet; it moves a distance of 1 by 5e-13.
_LEAST_SQUARE = 1e-12


def cyclic_form(points: Tensor) -> Tensor:
    """Return the distances (b, n // 2, n) of contours (b, n, 2): entry [k - 1, i] is that of the points i and i + k."""
    half = points.shape[1] // 2
    dx, dy = (_shifted(x, 1, half) - x[:, None] for x in points.unbind(-1))
    if torch.is_grad_enabled() and points.requires_grad:
        return (dx * dx + dy * dy + _LEAST_SQUARE).sqrt()
    # Fresh memory costs more than the arithmetic.
    return dx.mul_(dx).addcmul_(dy, dy).add_(_LEAST_SQUARE).sqrt_()


def full_form(matrices: Tensor) -> Tensor:
    """Return the full form (b, n, n) of matrices (b, n, n): entry [k, i] is that of row i and column i + k."""
    n = matrices.shape[-1]
    return matrices.transpose(1, 2).gather(1, _ahead(n, 0, n, matrices.device).expand_as(matrices))


def angle_form(points: Tensor) -> Tensor:
    """Return cosines, then sines, of the angle at each point i between the points i - k and i + k.

    The sine is the triangle-area representation of Alajlan et al. (2007) with each triangle divided by its sides:
    positive where the contour bulges outwards, negative in a hollow, and of one size for short and long lags. Single
    distances cannot distinguish the two. The sign refers to the side of the contour's inside, so that rotation,
    reflection and direction do not change it.

    Args:
        points: Contours (b, n, 2).

    Returns:
        Angles (b, 2 ((n - 1) // 2), n).
    """
    lags = (points.shape[1] - 1) // 2
    x, y = points.unbind(-1)
    ahead_x, ahead_y = (_shifted(values, 1, lags) - values[:, None] for values in (x, y))
    behind_x, behind_y = (_shifted(values, -lags, lags).flip(1) - values[:, None] for values in (x, y))
    # Squared before the root, and the constant inside it, so that the gradient is finite where points meet.
    sides = ((ahead_x**2 + ahead_y**2) * (behind_x**2 + behind_y**2) + _LEAST_SIDES**2).sqrt()
    inside = (signed_area(points) / _LEAST_AREA).clamp(-1, 1)[:, None, None]
    cosine = (ahead_x * behind_x + ahead_y * behind_y) / sides
    return torch.cat([cosine, (ahead_x * behind_y - ahead_y * behind_x) / sides * inside], 1)


def signed_area(points: Tensor) -> Tensor:
    """Return the enclosed area (b,) of contours (b, n, 2), positive where x turns to y along the contour."""
    return _cross(points, points.roll(-1, 1)).sum(1) / 2


def about_centroid(points: Tensor) -> Tensor:
    """Return contours (b, n, 2) in the frame of the store, as `shapes.polygons.centred` does.

    They lie around their polygon's centroid, or around the mean of their points where they enclose (nearly) nothing,
    and have a root mean square distance of 1 from it.
    """
    # About the mean first: far from the origin the products below would lose their digits.
    near = points - points.mean(1, keepdim=True)
    cross = _cross(near, near.roll(-1, 1))
    twice = cross.sum(1)
    solid = twice.abs() > 2e-6 * near.square().sum(2).mean(1)
    centroid = ((near + near.roll(-1, 1)) * cross[..., None]).sum(1) / (3 * torch.where(solid, twice, 1.0))[:, None]
    centred = near - torch.where(solid[:, None], centroid, 0.0)[:, None]
    return centred / centred.square().sum(2).mean(1).sqrt().clamp(min=1e-9)[:, None, None]


def oriented_with(points: Tensor, flags: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return contours (b, n, 2) with those of negative area reversed, and the flags (b, n) of their points."""
    backwards = signed_area(points) < 0
    if flags is not None:
        flags = torch.where(backwards[:, None], flags.flip(1), flags)
    return torch.where(backwards[:, None, None], points.flip(1), points), flags


def reverse(form: Tensor) -> Tensor:
    """Return the form (b, lags, n) of the same symmetric matrix run backwards: E'[k, i] = E[k, -i - k]."""
    lags, n = form.shape[-2:]
    lag = torch.arange(lags, device=form.device)[:, None] + first_lag(form)
    source = (-torch.arange(n, device=form.device) - lag) % n
    return form.gather(-1, source.expand(len(form), -1, -1))


def first_lag(form: Tensor) -> int:
    """Return 0 for a full form (b, n, n), 1 for a cyclic one (b, n // 2, n)."""
    return int(form.shape[-2] != form.shape[-1])


def pairs_of(flags: Tensor, lags: int) -> Tensor:
    """Return whether the point i or the point i + k has a flag (b, n), for each entry (b, lags, n) of a form."""
    n = flags.shape[1]
    ahead = _ahead(n, int(lags != n), lags, flags.device)
    return flags[:, ahead] | flags[:, None]


def _ahead(n: int, first: int, lags: int, device: torch.device) -> Tensor:
    """Index (lags, n) of the point `first`, `first` + 1 ... places after each point."""
    start = torch.arange(n, device=device)
    return (start + torch.arange(first, first + lags, device=device)[:, None]) % n


def _shifted(values: Tensor, first: int, count: int) -> Tensor:
    """Values (b, n) from `first`, `first` + 1 ... places later: (b, count, n), a view of little memory."""
    n = values.shape[1]
    return torch.cat([values, values, values], 1)[:, first % n :][:, : n + count - 1].unfold(1, n, 1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
