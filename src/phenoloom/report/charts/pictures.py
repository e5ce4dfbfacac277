"""Pictures in the page: colour composites of tiles with stated contrast limits, and contours as paths."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import imagecodecs
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from .svg import path_of

SIDE = 128
"""Longest side of a picture in the page, in px; larger tiles are averaged down to it."""
QUALITY = 90

RGB = ("red", "green", "blue")
WHITE = (1.0, 1.0, 1.0)
# Readers with any common colour vision can distinguish magenta and green; with the others, sums stay below white long.
CHANNEL_COLOURS = ((1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.2, 0.6, 1.0), (1.0, 0.6, 0.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0))


@dataclass(frozen=True)
class Picture:
    """A raster, a drawing, or a drawing over a raster.

    Attributes:
        alt: text for readers who do not see the picture.
        source: the raster as a data address.
        drawing: the drawing as SVG.
        size: width and height of the raster in px.
        note: small text below.
    """

    alt: str
    source: str = ""
    drawing: Markup | None = None
    size: tuple[int, int] = (SIDE, SIDE)
    note: str = ""


@dataclass(frozen=True)
class Channel:
    """A channel in the legend of a composite: its colour as CSS, and the values that are drawn black and full."""

    name: str
    css: str
    low: float
    high: float


@dataclass(frozen=True)
class Gallery:
    """Pictures in groups with titles.

    Attributes:
        caption: the caption.
        groups: title and pictures of each group.
        channels: legend of composites.
    """

    caption: str
    groups: list[tuple[str, list[Picture]]]
    channels: list[Channel] = field(default_factory=list)

    @property
    def outlined(self) -> bool:
        """Whether drawings lie over rasters, so that the page lets the reader hide them."""
        return any(p.source and p.drawing for _, pictures in self.groups for p in pictures)


def contrast_limits(tiles: NDArray[Any]) -> NDArray[np.float64]:
    """Return contrast limits (c, 2) of tiles (k, c, y, x): percentiles 0.5 and 99.8 by channel, without padding."""
    pixels = np.moveaxis(tiles, 1, 0).reshape(tiles.shape[1], -1)
    # Tiles at the edge of an image are padded with whole rows and columns, which would lift all backgrounds.
    least = (tiles == tiles.min(axis=(0, 2, 3), keepdims=True)).all(axis=1)
    padding = (least.all(axis=2, keepdims=True) | least.all(axis=1, keepdims=True)).reshape(-1)
    content = pixels[:, ~padding]
    # For silhouettes that fill their bounding box only foreground is left: there, the padding is the background.
    flat = padding.all() or (content.min(axis=1) == content.max(axis=1)).any()
    limits: NDArray[np.float64] = np.percentile(pixels if flat else content, [0.5, 99.8], axis=1).T.astype(np.float64)
    return limits


def colours_of(channels: Sequence[str]) -> NDArray[np.float64]:
    """Return display colours (c, 3): white for one channel, themselves for red, green and blue, else distinct ones."""
    if len(channels) == 1:
        return np.asarray([WHITE])
    names = [name.strip().lower() for name in channels]
    if len(names) == 3 and all(full.startswith(name) and name for full, name in zip(RGB, names, strict=True)):
        return np.eye(3)
    return np.asarray([CHANNEL_COLOURS[i % len(CHANNEL_COLOURS)] for i in range(len(channels))])


def explain(channels: Sequence[str], limits: NDArray[np.float64]) -> list[Channel]:
    """Return the legend of a composite."""
    shown = (255 * colours_of(channels)).astype(int)
    return [
        Channel(name, f"rgb({r} {g} {b})", float(low), float(high))
        for name, (r, g, b), (low, high) in zip(channels, shown, limits, strict=True)
    ]


def composite(tile: NDArray[Any], limits: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Scale each channel of a tile (c, y, x) between its limits, colour it, and add all to an image (y, x, 3)."""
    low, high = limits[:, 0, None, None], limits[:, 1, None, None]
    scaled = np.clip((tile.astype(np.float64) - low) / np.maximum(high - low, 1e-12), 0, 1)
    mixed = np.clip(np.einsum("cyx,cr->yxr", scaled, colours), 0, 1)
    pixels: NDArray[np.uint8] = np.rint(255 * mixed).astype(np.uint8)
    return pixels


def tile_picture(
    tile: NDArray[Any],
    limits: NDArray[np.float64],
    colours: NDArray[np.float64],
    alt: str,
    outlines: Sequence[NDArray[Any]] = (),
    note: str = "",
) -> Picture:
    """Return a tile as a picture.

    Args:
        tile: pixels (c, y, x).
        limits: contrast limits (c, 2) as from `contrast_limits`.
        colours: display colours (c, 3) as from `colours_of`.
        alt: text for readers who do not see the picture.
        outlines: contours (n, 2) in px of the tile, which are drawn over it.
        note: small text below.
    """
    height, width = tile.shape[1:]
    pixels = composite(tile, limits, colours)
    shrink = SIDE / max(height, width)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    encoded = imagecodecs.webp_encode(np.ascontiguousarray(pixels), level=QUALITY)
    source = f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"
    drawing = _overlay(outlines, width, height) if len(outlines) else None
    return Picture(alt, source, drawing, size=(pixels.shape[1], pixels.shape[0]), note=note)


def contour_picture(outlines: Sequence[NDArray[Any]], alt: str, extent: float | None = None) -> Picture:
    """Draw outlines (n, 2) in one frame of half width `extent` in px: the first filled, the others as lines over it."""
    points = np.concatenate(list(outlines))
    finite = points[np.isfinite(points).all(axis=1)]
    half = 1.08 * (extent or float(np.abs(finite).max(initial=1e-9)))
    # A frame of 100 units, so that lines look alike for objects of any size.
    paths = [
        Markup('<path class="{}" d="{}"/>').format("shape" if i == 0 else "again", path_of(o * 50 / half, closed=True))
        for i, o in enumerate(outlines)
    ]
    head = Markup('<svg class="contour" viewBox="-50 -50 100 100" role="img" aria-label="{}">').format(alt)
    return Picture(alt, drawing=head + Markup("").join(paths) + Markup("</svg>"))


def mask_outlines(mask: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Return the outlines (n, 2) of the objects of a mask (h, w) of labels, in px, without holes."""
    outlines: list[NDArray[np.float32]] = []
    for label in np.unique(mask[mask > 0]).tolist():
        found, _ = cv2.findContours((mask == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outlines += [points[:, 0].astype(np.float32) for points in found]
    return outlines


def _overlay(outlines: Sequence[NDArray[Any]], width: int, height: int) -> Markup:
    paths = [Markup('<path d="{}"/>').format(path_of(outline, closed=True)) for outline in outlines]
    head = Markup('<svg class="overlay" viewBox="-.5 -.5 {} {}" preserveAspectRatio="none" aria-hidden="true">').format(
        width, height
    )
    return head + Markup("").join(paths) + Markup("</svg>")
