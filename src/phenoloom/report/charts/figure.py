"""Figures: panels under one caption, with legends."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend.

    Attributes:
        label: the text.
        picture: the mark.
        series: the series of points that the entry explains.
    """

    label: str
    picture: Markup
    series: str


@dataclass(frozen=True)
class Figure:
    """Panels under one caption.

    Attributes:
        caption: the caption.
        panels: title and picture of each panel.
        legends: name and entries of each legend; one for each panel, or for the whole figure.
    """

    caption: str
    panels: list[tuple[str, Markup]]
    legends: list[tuple[str, list[LegendEntry]]] = field(default_factory=list)
