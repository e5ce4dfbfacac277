"""The least difference of two distance matrices over all starts and both directions of the contour, by FFT.

    min_s ||R - roll_s D||^2 = ||R||^2 + ||D||^2 - 2 max_s sum_k corr_i(E_R, E_D)[k, s]

with E the cyclic forms of `nets.cyclic_form`: one FFT along i, a product with the conjugate, a sum over the lags k and
one inverse FFT give the best start in O(n^2 log n) time and O(n^2) memory; trying each start takes O(n^3) of both.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..nets.cyclic_form import first_lag

Error = Literal["squared", "absolute"]


class Start(NamedTuple):
    """The best start of a target's contour.

    Attributes:
        backwards: Whether the contour is reversed first (b,), bool.
        shift: Points by which it then starts later (b,), int64.
    """

    backwards: Tensor
    shift: Tensor


def start_invariant_loss(
    decoded: Tensor,
    target: Tensor,
    *,
    error: Error = "squared",
    both_ways: bool = True,
    counted: Tensor | None = None,
) -> Tensor:
    """Return the mean error (b,) of distance matrices against the target at its best start.

    The start has the least squared error, also for the absolute one. The difference is taken at that start, so neither
    the loss nor its gradient suffers from the rounding of the FFT; its gradient is that of the minimum over all starts.

    Args:
        decoded: Cyclic forms (b, n // 2, n), or full forms (b, n, n) of matrices that need not be symmetric.
        target: The same form of symmetric matrices.
        error: Error of an entry.
        both_ways: The target may also be reversed.
        counted: Mask (b, lags, n) of the entries of the target over which the mean is taken; None: all.
    """
    start = best_start(decoded.detach(), target, both_ways)
    difference = decoded - at_start(target, start)
    errors = difference.square() if error == "squared" else difference.abs()
    weights = lag_weights(decoded)
    if counted is None:
        return (errors.mean(-1) * weights).sum(-1)
    kept = at_start(counted, start) * weights[:, None]
    return (errors * kept).sum((1, 2)) / kept.sum((1, 2)).clamp(min=1e-12)


@torch.no_grad()
def best_start(decoded: Tensor, target: Tensor, both_ways: bool = True) -> Start:
    """Return the start and direction of each target that fits `decoded` best: the maximum of their correlation.

    Args:
        decoded: Cyclic forms (b, n // 2, n), or full forms (b, n, n).
        target: The same form of symmetric matrices.
        both_ways: The target may also be reversed.
    """
    n = decoded.shape[-1]
    weighted, wanted = torch.fft.rfft(decoded) * lag_weights(decoded)[:, None], torch.fft.rfft(target)
    spectra = [(weighted * wanted.conj()).sum(1)]
    if both_ways:
        # The target run backwards has the conjugate spectrum, turned by its lag.
        lags = torch.arange(decoded.shape[1], device=decoded.device) + first_lag(decoded)
        turns = lags[:, None] * torch.arange(wanted.shape[-1], device=decoded.device) % n
        angle = turns.to(decoded.dtype) * (-2 * torch.pi / n)
        spectra.append((weighted * torch.polar(torch.ones_like(angle), angle) * wanted).sum(1))
    # (b, direction, shift) -> one best pair of direction and shift a contour.
    best = torch.fft.irfft(torch.stack(spectra, 1), n=n).flatten(1).argmax(1)
    return Start(best >= n, best % n)


def at_start(form: Tensor, start: Start) -> Tensor:
    """Return forms (b, lags, n) of symmetric matrices, each from its own start."""
    lags, n = form.shape[-2:]
    place = (torch.arange(n, device=form.device) - start.shift[:, None])[:, None]
    # Backwards as in `cyclic_form.reverse`: E'[k, i] = E[k, -i - k].
    turned = -place - torch.arange(lags, device=form.device)[:, None] - first_lag(form)
    return form.gather(-1, torch.where(start.backwards[:, None, None], turned, place) % n)


def lag_weights(form: Tensor) -> Tensor:
    """Return the weight (lags,) of each lag in the mean over the whole matrix.

    In the cyclic form lag k counts for lag n - k too, except k = n / 2, which is its own; lag 0 is the empty diagonal.
    """
    lags, n = form.shape[-2:]
    if not first_lag(form):
        return torch.full((lags,), 1.0 / n, device=form.device, dtype=form.dtype)
    weights = torch.full((lags,), 2.0 / n, device=form.device, dtype=form.dtype)
    if n % 2 == 0:
        weights[-1] = 1.0 / n
    return weights
