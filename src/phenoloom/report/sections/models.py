"""Section on models: their training data, searches for settings, training curves and reconstructions."""

from __future__ import annotations

from ..charts.curves import curve_figures
from .base import PageSection, ReportData, missing
from .reconstructions import matrix_gallery, model_galleries
from .searches import search_tables
from .training_sets import training_data


def section(data: ReportData) -> PageSection:
    """Return the section on models."""
    results = data.results
    content = {
        "training_data": training_data(results.models),
        "searches": search_tables(results.folder.searches()),
        "curves": curve_figures(results.models),
        "reconstructions": model_galleries(results.models, results.channels),
        "matrices": matrix_gallery(results, data.settings.seed),
    }
    reasons = {
        "curves": "No training curves: no model of this study was trained.",
        "reconstructions": "No reconstructions: no model of this study reconstructs its input.",
        "matrices": "No contours from distance matrices: this study has no contours.",
    }
    return PageSection("models", "Models", content, missing(content, reasons))
