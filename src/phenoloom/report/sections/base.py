"""A section of the page, and what every section is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...config.rule_settings import ReportSettings
from ..results import Results
from ..scoreboard import Scoreboard
from ..seeds import SeedFamilies


@dataclass(frozen=True)
class PageSection:
    """A section of the page.

    Attributes:
        anchor: its address in the page, and the name of its template (`templates/<anchor>.html.j2`).
        title: its heading.
        content: what the template shows, as `c`.
        missing: sentences on what is not there, and why.
    """

    anchor: str
    title: str
    content: Mapping[str, Any]
    missing: list[str]


@dataclass(frozen=True)
class ReportData:
    """The data that sections are made from.

    Attributes:
        settings: settings of the report.
        results: results of the study.
        scoreboard: scores, if there are any.
    """

    settings: ReportSettings
    results: Results
    scoreboard: Scoreboard | None

    @cached_property
    def families(self) -> SeedFamilies:
        """Representations that differ in their seed alone."""
        return SeedFamilies(self.settings.families)


def missing(content: Mapping[str, Any], reasons: Mapping[str, str]) -> list[str]:
    """Return the reasons for what is empty in the content, both by the same keys."""
    return [reason for key, reason in reasons.items() if not content[key]]
