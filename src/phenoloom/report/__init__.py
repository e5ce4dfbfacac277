"""The report: reads the results of a study, shows them on a page, and computes no result of its own.

`report` writes the page of a study and `overview` the page of all studies. `results` reads the results folder,
`scoreboard` answers questions about scores, `summary` and `caveats` put findings into words. Each file of `sections`
is one section of the page; `charts` draws.
"""

from .overview import make_overview
from .report import make_report

__all__ = ["make_overview", "make_report"]
