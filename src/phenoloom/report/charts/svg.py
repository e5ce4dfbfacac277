"""Inline SVG charts with two linear axes, coloured by the style of the page (light or dark), all text escaped."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

COLOURS = 7
"""The page's `--c0` to `--c6`: the Okabe-Ito palette (jfly.uni-koeln.de/color) without yellow and black."""

# Closed outlines relative to the point, in tenths of a pixel; about equal in area.
GLYPHS = (
    "m-27 0a27 27 0 1 0 54 0 27 27 0 1 0-54 0",
    "m-24-24h48v48h-48z",
    "m0-33 31 54h-62z",
    "m0-34 30 34-30 34-30-34z",
    "m-9-30h18v21h21v18h-21v21h-18v-21h-21v-18h21z",
    "m0 33 31-54h-62z",
)
"""Six glyphs and seven colours give 42 different pairs, so colour is never the only sign of a category."""
CATEGORIES = COLOURS * len(GLYPHS)


def colour(i: int) -> str:
    """Return the CSS class of the i-th colour."""
    return f"c{i % COLOURS}"


def glyph_key(i: int) -> Markup:
    """Draw the i-th glyph in its colour, for a legend."""
    svg = ET.Element("svg", {"class": f"key {colour(i)}", "viewBox": "-50 -50 100 100", "aria-hidden": "true"})
    ET.SubElement(svg, "path", d=f"M0 0{GLYPHS[i % len(GLYPHS)]}")
    return markup(svg)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` round values between `low` and `high`, at steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most) - 1)
    for step in (power * m for m in (1, 2, 5, 10, 20, 50, 100)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        # The step before has more than `most` ticks, so this one, 2 or 2.5 times as long, has at least one.
        if last - first < most:
            break
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Format tick values with the digits that their distance needs, and with a real minus sign."""
    step = min((b - a for a, b in pairwise(values)), default=1.0)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return [f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") for value in values]


def path_of(points: Floats, *, closed: bool = False, digits: int = 1) -> str:
    """Return the path data of a polyline (n, 2)."""
    text = " ".join(f"{x:.{digits}f} {y:.{digits}f}" for x, y in points)
    return f"M{text}{'z' if closed else ''}"


def markup(element: ET.Element) -> Markup:
    """Return the element as HTML; ElementTree has escaped every text and attribute."""
    return Markup(ET.tostring(element, encoding="unicode"))


@dataclass(frozen=True)
class Axis:
    """An axis of a chart: its label, and the smallest and the largest coordinate in units of the data."""

    label: str
    limits: tuple[float, float]


class Chart:
    """A chart of lines or points.

    Args:
        alt: text for readers who do not see the chart.
        x_axis: the horizontal axis.
        y_axis: the vertical axis.
        size: width and height in px.
        bare: whether to draw a frame in place of ticks and a grid.
    """

    LEFT, RIGHT, TOP, BOTTOM = 64.0, 8.0, 8.0, 36.0

    def __init__(
        self,
        alt: str,
        x_axis: Axis,
        y_axis: Axis,
        *,
        size: tuple[int, int] = (320, 220),
        bare: bool = False,
    ) -> None:
        (self.width, self.height), self.xlim, self.ylim = size, _opened(x_axis.limits), _opened(y_axis.limits)
        self.left, self.bottom = (18.0, 20.0) if bare else (self.LEFT, self.BOTTOM)
        self.root = ET.Element("svg", {"class": "chart", "viewBox": f"0 0 {size[0]} {size[1]}", "role": "img"})
        self.root.set("aria-label", alt)
        self._axes(x_axis.label, y_axis.label, bare)

    def x(self, value: Floats) -> Floats:
        """Convert data coordinates to px along x."""
        low, high = self.xlim
        return self.left + (np.asarray(value) - low) / (high - low) * (self.width - self.left - self.RIGHT)

    def y(self, value: Floats) -> Floats:
        """Convert data coordinates to px along y; larger values are higher."""
        low, high = self.ylim
        return (
            self.height
            - self.bottom
            - (np.asarray(value) - low) / (high - low) * (self.height - self.bottom - self.TOP)
        )

    def line(self, x: Floats, y: Floats, css: str, title: str) -> None:
        """Draw a line through the points with finite coordinates; `title` is shown under the pointer."""
        keep = np.isfinite(x) & np.isfinite(y)
        points = np.column_stack([self.x(x[keep]), self.y(y[keep])])
        if len(points):
            path = ET.SubElement(self.root, "path", {"class": f"line {css}", "d": path_of(points)})
            ET.SubElement(path, "title").text = title

    def points(self, x: Floats, y: Floats, series: int | None, css: str = "") -> None:
        """Draw the glyphs of one series as one path, in tenths of a px to keep the page small.

        Args:
            x: coordinates along x, in units of the data.
            y: coordinates along y.
            series: number of the series, which decides colour and glyph; None: grey dots.
            css: further CSS classes.
        """
        glyph, tint = (GLYPHS[0], "other") if series is None else (GLYPHS[series % len(GLYPHS)], colour(series))
        places = np.rint(10 * np.column_stack([self.x(x), self.y(y)])).astype(int)
        data = "".join(f"M{px} {py}{glyph}" for px, py in places)
        if data:
            key = "other" if series is None else str(series)
            attributes = {"class": f"points {tint} {css}".strip(), "d": data, "transform": "scale(.1)"}
            ET.SubElement(self.root, "path", attributes).set("data-series", key)

    def render(self) -> Markup:
        """Return the finished SVG."""
        return markup(self.root)

    def _axes(self, xlabel: str, ylabel: str, bare: bool) -> None:
        right, floor = self.width - self.RIGHT, self.height - self.bottom
        middle = (self.left + right) / 2, (self.TOP + floor) / 2
        if bare:
            frame = {"x": f"{self.left}", "y": f"{self.TOP}", "class": "frame"}
            size = {"width": f"{right - self.left}", "height": f"{floor - self.TOP}"}
            ET.SubElement(self.root, "rect", frame | size)
        else:
            self._grid(right, floor)
        self._text(xlabel, middle[0], self.height - 4, "label")
        label = self._text(ylabel, 0, 0, "label")
        label.set("transform", f"translate(12 {middle[1]:.1f}) rotate(-90)")

    def _grid(self, right: float, floor: float) -> None:
        marks = ticks(*self.ylim, most=5)
        for value, shown in zip(marks, tick_labels(marks), strict=True):
            y = float(self.y(np.asarray(value)))
            ET.SubElement(self.root, "path", {"class": "grid", "d": f"M{self.left} {y:.1f}H{right}"})
            self._text(shown, self.left - 6, y + 4, "tick end")
        marks = [m for m in ticks(*self.xlim) if m == round(m)] or ticks(*self.xlim)
        for value, shown in zip(marks, tick_labels(marks), strict=True):
            self._text(shown, float(self.x(np.asarray(value))), floor + 15, "tick")
        ET.SubElement(self.root, "path", {"class": "axis", "d": f"M{self.left} {floor}H{right}"})

    def _text(self, shown: str, x: float, y: float, css: str) -> ET.Element:
        element = ET.SubElement(self.root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": css})
        element.text = shown
        return element


def _opened(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    return (low, high) if high > low else (low - 0.5, high + 0.5)
