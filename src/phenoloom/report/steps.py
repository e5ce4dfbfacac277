"""The steps of the pipeline in their order, for tables with a row for each step."""

from __future__ import annotations

import pandas as pd

from ..artifacts.jobs import OUTPUTS

STEPS = tuple(OUTPUTS)
"""Rules in the order in which a study needs them."""


def by_step(jobs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Group a table of measured jobs by rule, in the order of the pipeline; unknown rules come last."""
    groups = {str(rule): group for rule, group in jobs.groupby("rule")}
    rules = [rule for rule in STEPS if rule in groups] + sorted(set(groups) - set(STEPS))
    return [(rule, groups[rule]) for rule in rules]
