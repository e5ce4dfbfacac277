"""What a table of studies would cost: jobs, core-hours, GPU-hours, disk and files of each rule.

One study file is the pattern for all of them: its views, models, folds and representations decide which jobs run. Jobs
are counted as the workflow plans them. Time is jobs and work times rates. Disk is counted from array shapes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config.study import Study
from ...core.errors import PhenoloomError
from .cost import Assumptions, Cost
from .sizes import StudySize
from .study_cost import StudyCost


@dataclass(frozen=True)
class Forecast:
    """Cost by rule over all studies.

    Attributes:
        by_rule: cost of each rule, in the order of the flow.
        studies: number of studies.
        raw_bytes: bytes of raw data.
        rows: tiles or objects of all studies.
        most_rows: rows of the study with most rows.
        most_rows_study: its name.
        most_vector_bytes: bytes of its vectors, of all representations and splits.
        shards: shards of all studies.
        most_shards: most shards of one study.
    """

    by_rule: Mapping[str, Cost]
    studies: int
    raw_bytes: int
    rows: int
    most_rows: int
    most_rows_study: str
    most_vector_bytes: float
    shards: int
    most_shards: int

    @property
    def total(self) -> Cost:
        """Sum over the rules."""
        return sum(self.by_rule.values(), Cost())


def forecast(sizes: Sequence[StudySize], pattern: Study, config_dir: Path, assumptions: Assumptions) -> Forecast:
    """Return the cost of studies of these sizes, each run like `pattern`.

    Simulated images and tests of other studies' encoders are not counted.

    Args:
        sizes: sizes of the studies.
        pattern: the study whose views, models, folds and representations all of them have.
        config_dir: folder of the configuration.
        assumptions: what no result shows.

    Raises:
        PhenoloomError: if there is no study, or a study's number of objects is not known.
    """
    if not sizes:
        raise PhenoloomError("There is no study to forecast; give a table with at least one")
    source = pattern.source.model_copy(update={"simulate": None})
    pattern = pattern.model_copy(update={"source": source, "transfer": []})
    by_rule: dict[str, Cost] = defaultdict(Cost)
    studies = [StudyCost(size, pattern, config_dir, assumptions) for size in sizes]
    for study in studies:
        for rule, cost in study.by_rule().items():
            by_rule[rule] += cost
    largest = max(studies, key=lambda study: study.rows)
    return Forecast(
        by_rule=dict(by_rule),
        studies=len(sizes),
        raw_bytes=sum(size.bytes for size in sizes),
        rows=sum(study.rows for study in studies),
        most_rows=largest.rows,
        most_rows_study=largest.size.name,
        most_vector_bytes=largest.vector_bytes,
        shards=sum(study.shards for study in studies),
        most_shards=max(study.shards for study in studies),
    )
