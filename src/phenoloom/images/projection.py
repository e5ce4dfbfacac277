"""Project stacks of focal planes and films to one plane a channel, by a policy that the study states."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config.planes import Planes, Policy
from ..core.errors import ImageError

ALL = "all"


def project(stack: NDArray[Any], planes: Planes, plane: tuple[int, int] = (-1, -1)) -> NDArray[Any]:
    """Project a stack to one image: z by its policy at each time point, then t.

    Args:
        stack: Pixels (t, z, c, h, w).
        planes: Policies of z and t.
        plane: Time point and focal plane to take of an axis with the policy `all`; -1: the first.

    Returns:
        Pixels (c, h, w); a view where no pixel had to be computed.

    Raises:
        ImageError: An axis with several planes has no policy, or is shorter than `plane` asks for.
    """
    for axis, policy, name, chosen in ((1, planes.z, "z", plane[1]), (0, planes.t, "t", plane[0])):
        count = stack.shape[axis]
        if count > 1 and policy is None:
            what = "focal planes" if name == "z" else "time points"
            raise ImageError(f"expected one plane a channel, found {count} {what}; say in `source.planes.{name}` which")
        if chosen >= count:
            raise ImageError(f"expected at least {chosen + 1} planes along {name}, found {count}")
        if policy in (None, ALL):
            stack = _taken(stack, axis, max(chosen, 0))
        elif count > 1:
            stack = _reduced(stack, axis, policy)
    image: NDArray[Any] = stack[0, 0]
    return image


def _taken(stack: NDArray[Any], axis: int, number: int) -> NDArray[Any]:
    """Return one plane along an axis, which stays with length 1, as a view."""
    return stack[number : number + 1] if axis == 0 else stack[:, number : number + 1]


def _reduced(stack: NDArray[Any], axis: int, policy: Policy) -> NDArray[Any]:
    """Reduce an axis, which stays with length 1, to one plane."""
    count = stack.shape[axis]
    if policy == "max":
        return np.asarray(stack.max(axis, keepdims=True))
    if policy == "mean":
        mean = stack.mean(axis, dtype=np.float64, keepdims=True)
        return np.asarray((np.rint(mean) if stack.dtype.kind in "iu" else mean).astype(stack.dtype))
    if policy == "sharpest":
        others = stack.shape[1 - axis]
        chosen = [_sharpest(np.take(stack, i, 1 - axis)) for i in range(others)]
        parts = [_taken(_taken(stack, 1 - axis, i), axis, best) for i, best in enumerate(chosen)]
        return np.concatenate(parts, 1 - axis)
    return _taken(stack, axis, {"first": 0, "last": count - 1, "middle": count // 2}[policy])


def _sharpest(planes: NDArray[Any]) -> int:
    """Return the plane of (n, c, h, w) with the largest variance of the Laplacian (Pech-Pacheco et al. 2000).

    The variance of each channel is divided by its mean over the planes, so that no bright channel decides alone; one
    plane is chosen for all channels, so that they stay in register, and the first one of equal planes.
    """
    values = planes.astype(np.float32)
    scores = np.array([[cv2.Laplacian(plane, cv2.CV_32F).var() for plane in image] for image in values])
    usual = scores.mean(0)
    return int((scores / np.where(usual > 0, usual, 1)).sum(1).argmax())
