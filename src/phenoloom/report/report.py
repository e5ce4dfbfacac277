"""The report of one study: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.rule_settings import ReportSettings
from ..core.atomic import write_atomically
from .charts.dot_plot import difference_dots, score_dots
from .charts.figures import curve_figures, map_figures
from .render import render
from .results import Results
from .scoreboard import DUMMY, MAIN_METRIC, Scoreboard
from .sections import data as data_tables
from .sections import provenance
from .sections import scores as score_tables
from .sections.efficiency import efficiency
from .sections.reconstructions import matrix_gallery, model_gallery
from .sections.samples import sample_gallery
from .sections.searches import search_tables
from .sections.shapes import invariances, spaces, ways_back
from .sections.training_sets import seen_table
from .sections.transfer import transfers
from .seeds import Draws
from .summary import summary, warnings

HEADLINE = "headline.json"
"""Written beside the page: the numbers that the page over all studies shows."""


@dataclass(frozen=True)
class Section:
    """A chapter: anchor, title, template, what it shows, and why it shows nothing where that is so."""

    anchor: str
    title: str
    content: dict[str, Any]
    missing: list[str]


def make_report(settings: ReportSettings, study_folder: Path, benchmarks: Path, output: Path) -> None:
    """Write the page of one study from its results folder, and the headline numbers beside it.

    `benchmarks` holds Snakemake's benchmark files as `<rule>/<job>.tsv`. Results that are not there are named in the
    page with the reason.
    """
    results = Results(study_folder, benchmarks)
    board = None
    if results.scores is not None and results.comparisons is not None:
        board = Scoreboard(results.scores, results.comparisons, settings.representations, settings.families)
    facts = data_tables.facts(results)
    sections = [
        _data(results, settings),
        _scores(results, settings, board),
        _errors(board),
        *_transfer(results, settings, board),
        _maps(results, settings),
        *_shapes(results, settings),
        _models(results, settings),
        _resources(results),
        _provenance(results, settings),
    ]
    headline = _headline(settings, results, board)
    text = json.dumps(headline, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    write_atomically(output.with_name(HEADLINE), lambda file: file.write(text.encode()))
    render(
        "study.html.j2",
        output,
        settings=settings,
        summary=summary(board, results.fold_facts) if board else "This study has no scores yet.",
        warnings=warnings(settings, results, board),
        facts=facts,
        sections=sections,
    )


def _data(results: Results, settings: ReportSettings) -> Section:
    gallery = sample_gallery(results, settings.report.sample_tiles, settings.seed)
    content = {
        "gallery": gallery,
        "channels": results.channels,
        "pixel_size_um": results.convert_settings.get("pixel_size_um"),
        "classes": data_tables.classes(results),
        "counts": data_tables.expected_and_found(results),
        "quarantine": data_tables.quarantine(results),
        "rejected": data_tables.rejected(results),
    }
    reasons = {
        "gallery": "No samples: this study has neither tiles nor contours.",
        "classes": "No classes: there is no split into folds.",
        "quarantine": "Quarantine is empty: every image could be read.",
        "rejected": "No object or tile was left out.",
    }
    return Section("data", "The data", content, _absent(content, reasons))


def _scores(results: Results, settings: ReportSettings, board: Scoreboard | None) -> Section:
    if board is None:
        return Section("scores", "Scores", {}, ["No scores: `classify` and `compare` have not run."])
    sample = score_tables.sample_size(board, settings.unit)
    compared = score_tables.pairs(board)
    content = {
        "sample": sample,
        "dots": score_dots(board, sample),
        "tables": [score_tables.by_probe(board, metric) for metric in board.metrics],
        "seeds": score_tables.by_seed(board),
        "difference_dots": difference_dots(board, compared),
        "differences": score_tables.differences(board, compared),
        "facts": results.fold_facts,
    }
    reasons = {
        "differences": "No paired differences: the study compares no learned representation with descriptors "
        "or with an untrained encoder."
    }
    return Section("scores", "Scores", content, _absent(content, reasons))


def _errors(board: Scoreboard | None) -> Section:
    content = {
        "per_class": score_tables.per_class(board) if board else None,
        "confusions": score_tables.confusions(board) if board else [],
    }
    reasons = {
        "per_class": "No scores by class.",
        "confusions": "No confusion matrices: units without scores, or with several labels each, have none.",
    }
    return Section("errors", "Errors by class", content, _absent(content, reasons))


def _transfer(results: Results, settings: ReportSettings, board: Scoreboard | None) -> list[Section]:
    """A chapter where the study names others that it is tested with."""
    if not settings.transfer:
        return []
    shown = transfers(results, settings, board)
    absent = sorted(set(settings.transfer) - {one.source for one in shown})
    missing = [f"No scores of {name}: `transfer` has not run." for name in absent]
    return [Section("transfer", "Trained on another study", {"transfers": shown} if shown else {}, missing)]


def _maps(results: Results, settings: ReportSettings) -> Section:
    draws = Draws(settings.families)
    figures = map_figures(results.maps, draws.one_of_each(settings.representations)) if results.maps else []
    reasons = {"figures": "No maps: there is no embeddings.h5ad with 2-D coordinates."}
    content = {"figures": figures, "told": draws.shown_first(name for name, _ in figures)}
    return Section("maps", "Maps of the embeddings", content, _absent(content, reasons))


def _shapes(results: Results, settings: ReportSettings) -> list[Section]:
    """A chapter where the study has models of contours."""
    draws = Draws(settings.families)
    found = results.shape_spaces(draws.one_of_each(settings.representations))
    content = {
        "invariance": invariances(found),
        "back": ways_back(found),
        "spaces": spaces(found),
        "told": draws.shown_first(space.representation for space in found),
    }
    reasons = {
        "invariance": "No table of invariances: all vectors of the objects looked at are the same.",
        "back": "No way back: no model of this study decodes outlines from its vectors.",
    }
    return [Section("shapes", "The space of shapes", content, _absent(content, reasons))] if found else []


def _models(results: Results, settings: ReportSettings) -> Section:
    content = {
        "seen": seen_table(results.runs),
        "searches": search_tables(results.folder / "tuning"),
        "curves": curve_figures(results.runs),
        "pairs": model_gallery(results.runs, results.channels),
        "matrices": matrix_gallery(results, settings.seed),
    }
    reasons = {
        "curves": "No training curves: this study trains no model.",
        "pairs": "No reconstructions: no model of this study stored any.",
        "matrices": "No contours, so no reconstruction from distance matrices.",
    }
    return Section("models", "Models", content, _absent(content, reasons))


def _resources(results: Results) -> Section:
    content = {"table": provenance.resources(results), "efficiency": efficiency(results)}
    reasons = {
        "table": "No measurements: Snakemake's benchmark files are not there.",
        "efficiency": "Benchmark files without what jobs asked for; the profiles turn it on (benchmark-extended).",
    }
    return Section("resources", "Time and memory", content, _absent(content, reasons))


def _provenance(results: Results, settings: ReportSettings) -> Section:
    facts = {k: v for k, v in results.fold_facts.items() if k in ("scheme", "count", "group", "unit")}
    content = {
        "folds": {**facts, "seed": settings.seed},
        "versions": provenance.versions(),
        "digests": provenance.digests(results, settings),
        "settings": json.dumps(settings.model_dump(mode="json"), indent=1, ensure_ascii=False),
    }
    return Section("provenance", "Provenance", content, [])


def _absent(content: dict[str, Any], reasons: dict[str, str]) -> list[str]:
    return [reason for key, reason in reasons.items() if not content[key]]


def _headline(settings: ReportSettings, results: Results, board: Scoreboard | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "title": settings.title,
        "licence": settings.licence,
        "images": results.image_count,
        "objects": None if results.index is None else len(results.index),
        "classes": len(results.fold_facts.get("classes", {})) or None,
        "best": None,
        "descriptors": None,
        "dummy": None,
    }
    if board is not None and board.ranked("descriptors", "learned", "transductive"):
        best = board.ranked("descriptors", "learned", "transductive")[0]
        described = board.ranked("descriptors")
        facts |= {
            "metric": MAIN_METRIC,
            "probe": board.main_probe,
            "best": _scored(board, best),
            "descriptors": _scored(board, described[0]) if described else None,
            "dummy": _scored(board, best, DUMMY),
        }
    return facts


def _scored(board: Scoreboard, name: str, probe: str | None = None) -> dict[str, Any] | None:
    mean = board.mean(name, probe)
    if mean is None:
        return None
    sd = mean.sd if mean.sd == mean.sd else None
    facts = {"name": name, "kind": board.kind(name), "value": mean.value, "sd": sd, "folds": mean.folds}
    return facts | ({"seeds": mean.seeds, "sd_seeds": mean.sd_seeds} if mean.seeds > 1 else {})
