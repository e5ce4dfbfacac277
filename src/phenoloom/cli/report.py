"""Commands that write pages about finished studies."""

from __future__ import annotations

import argparse

from .command import path, rule


@rule(path("--study-folder"), path("--benchmarks"))
def report(a: argparse.Namespace) -> None:
    """Write one study's report."""
    from ..config.rule_settings import ReportSettings
    from ..report import make_report

    make_report(ReportSettings.parse(a.settings), a.study_folder, a.benchmarks, a.output)


@rule(path("--results"))
def overview(a: argparse.Namespace) -> None:
    """Write the page over all studies."""
    from ..config.rule_settings import OverviewSettings
    from ..report import make_overview

    make_overview(OverviewSettings.model_validate_json(a.settings).studies, a.results, a.output)
