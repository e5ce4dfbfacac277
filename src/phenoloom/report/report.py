"""The page of one study: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..artifacts.layout import StudyFolder
from ..config.rule_settings import ReportSettings
from .caveats import caveats
from .headline import write_headline
from .render import render
from .results import Results
from .scoreboard import Scoreboard
from .sections import data, errors, maps, models, provenance, resources, scores, shapes, transfer
from .sections.base import PageSection, ReportData
from .sections.study_facts import study_facts
from .summary import summary, without_scores

SECTIONS: tuple[Callable[[ReportData], PageSection | None], ...] = (
    data.section,
    scores.section,
    errors.section,
    transfer.section,
    maps.section,
    shapes.section,
    models.section,
    resources.section,
    provenance.section,
)
"""Sections in the order of the page; a section that does not apply to a study returns None."""


def make_report(settings: ReportSettings, study_folder: Path, benchmarks: Path, output: Path) -> None:
    """Write the page of one study, and its headline numbers in the same folder.

    Results that are not there are named in the page with the reason.

    Args:
        settings: what the page says about the study; the page shows these settings and their digest.
        study_folder: results of the study.
        benchmarks: Snakemake's benchmark files of the study, `<rule>/<job>.tsv`.
        output: path of the page.
    """
    folder = StudyFolder(study_folder)
    results = Results(folder, benchmarks)
    scoreboard = None
    if results.scores is not None and len(results.scores) and results.comparisons is not None:
        scoreboard = Scoreboard(results.scores, results.comparisons, settings.representations, settings.families)
    found = ReportData(settings, results, scoreboard)
    write_headline(output.with_name(folder.headline.name), settings, results, scoreboard)
    render(
        "study.html.j2",
        output,
        settings=settings,
        summary=summary(scoreboard, results.fold_facts) if scoreboard else without_scores(results.fold_facts),
        caveats=caveats(settings, results, scoreboard),
        facts=study_facts(results),
        sections=[section for make in SECTIONS if (section := make(found)) is not None],
    )
