"""Section on maps: 2-D maps of the embeddings, coloured by label and by plate."""

from __future__ import annotations

from ..charts.maps import map_figures
from .base import PageSection, ReportData, missing


def section(data: ReportData) -> PageSection:
    """Return the section on maps."""
    maps, families = data.results.maps, data.families
    figures = map_figures(maps, families.one_of_each(data.settings.representations)) if maps else []
    content = {"figures": figures, "seeds": families.shown_first(name for name, _ in figures)}
    reasons = {"figures": "No maps: there is no embeddings.h5ad with 2-D coordinates."}
    return PageSection("maps", "Maps of the embeddings", content, missing(content, reasons))
