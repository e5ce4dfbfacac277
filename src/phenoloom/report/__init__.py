"""The report: reads results, shows them, computes no result of its own."""

from .overview import make_overview
from .report import make_report

__all__ = ["make_overview", "make_report"]
