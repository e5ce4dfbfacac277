"""Augmentations of contours in batches on the device: changes that keep the kind of the object.

Contours (b, n, 2) of scale 1 go in and come out: centred, of equal arc length and scale 1 again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..config.shape_objectives import ShapeAugment
from ..nets.precision import in_float32

WAVES = 6
"""Sines that add up to one elastic displacement of the plane."""
WAVELENGTHS = 1.5
"""Standard deviation of their wave vectors, in radians a unit of scale: about two waves over an object."""
RIPPLES = range(2, 13)
"""Waves along a contour."""


@in_float32
def augment_contours(contours: Tensor, settings: ShapeAugment, generator: torch.Generator) -> Tensor:
    """Return one random version of each contour, or the contours as they are where every augmentation is off.

    Args:
        contours: Contours (b, n, 2) of scale 1.
        settings: The augmentations.
        generator: Source of the draws, on the device of the contours.
    """
    if not settings.any:
        return contours
    draw = _Draw(contours, generator)
    n = contours.shape[1]
    if settings.cut:
        contours = _cut(contours, settings, draw)
    if settings.stretch:
        contours = _stretch(contours, settings.stretch, draw)
    if settings.elastic:
        contours = _bend(contours, settings.elastic, draw)
    if settings.ripple:
        contours = _ripple(contours, settings.ripple, draw)
    if settings.cut or settings.stretch or settings.elastic or settings.ripple:
        # From anywhere between two points, so that no start is that of the data.
        contours = resampled(contours, n, draw.uniform(len(contours)))
    if settings.noise:
        size = settings.noise * draw.uniform(len(contours), 1, 1)
        contours = contours + size * draw.normal(*contours.shape)
    return to_unit_scale(contours)


def to_unit_scale(contours: Tensor) -> Tensor:
    """Return contours (b, n, 2) around the mean of their points, with a root mean square distance of 1 from it."""
    centred = contours - contours.mean(1, keepdim=True)
    return centred / centred.square().sum(-1).mean(1).sqrt().clamp(min=1e-9)[:, None, None]


def resampled(contours: Tensor, points: int, phase: Tensor) -> Tensor:
    """Return points (b, points, 2) at equal steps along contours (b, n, 2), starting at a share `phase` (b,)."""
    closed = torch.cat([contours, contours[:, :1]], 1)
    lengths = (closed[:, 1:] - closed[:, :-1]).norm(dim=-1)
    walked = torch.cat([torch.zeros_like(lengths[:, :1]), lengths.cumsum(1)], 1)
    share = (torch.arange(points, device=contours.device) / points + phase[:, None]) % 1.0
    wanted = (share * walked[:, -1:]).contiguous()
    after = torch.searchsorted(walked, wanted, right=True).clamp(1, contours.shape[1])
    start, end = walked.gather(1, after - 1), walked.gather(1, after)
    part = ((wanted - start) / (end - start).clamp(min=1e-9))[..., None]
    first, second = (closed.gather(1, index[..., None].expand(-1, -1, 2)) for index in (after - 1, after))
    return first + part * (second - first)


class _Draw:
    """Random tensors on the device of the contours."""

    def __init__(self, like: Tensor, generator: torch.Generator) -> None:
        self.device, self.generator = like.device, generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.device)


def _cut(contours: Tensor, settings: ShapeAugment, draw: _Draw) -> Tensor:
    """An arc of some contours moves towards its chord: what is missing, hidden or smoothed away."""
    b, n, _ = contours.shape
    length = (draw.uniform(b, 1) * settings.cut * n).clamp(min=2)
    first = draw.uniform(b, 1) * n
    share = draw.uniform(b, 1) * (draw.uniform(b, 1) < settings.cut_probability)
    place = (torch.arange(n, device=contours.device) - first) % n
    start, end = (contours.gather(1, (at.long() % n)[..., None].expand(-1, 1, 2)) for at in (first, first + length))
    chord = start + (place / length)[..., None] * (end - start)
    return contours + ((place <= length) * share)[..., None] * (chord - contours)


def _stretch(contours: Tensor, sd: float, draw: _Draw) -> Tensor:
    """Longer or shorter along one random direction."""
    angle = draw.uniform(len(contours)) * torch.pi
    along = torch.stack([angle.cos(), angle.sin()], -1)[:, None]
    factor = (sd * draw.normal(len(contours))).exp()[:, None, None]
    return contours + (factor - 1) * (contours * along).sum(-1, keepdim=True) * along


def _bend(contours: Tensor, sd: float, draw: _Draw) -> Tensor:
    """A smooth displacement of the plane: arcs that lie beside each other move together."""
    b = len(contours)
    vectors, phases = WAVELENGTHS * draw.normal(b, 2, WAVES), draw.uniform(b, 1, WAVES) * 2 * torch.pi
    sizes: Tensor = sd * (2 / WAVES) ** 0.5 * draw.normal(b, WAVES, 2)
    return contours + (contours @ vectors + phases).sin() @ sizes


def _ripple(contours: Tensor, size: float, draw: _Draw) -> Tensor:
    """Smooth displacements along the contour, each arc by itself."""
    b, n, _ = contours.shape
    orders = torch.tensor(list(RIPPLES), device=contours.device)
    angle = torch.arange(n, device=contours.device)[:, None] * (2 * torch.pi / n) * orders
    waves = torch.cat([angle.cos(), angle.sin()], 1)
    falling: Tensor = orders.repeat(2).to(contours.dtype).rsqrt()[:, None]
    amplitude = size * draw.uniform(b, 1, 1) * falling
    moved: Tensor = waves @ (amplitude * draw.normal(b, waves.shape[1], 2))
    return contours + moved
