"""Jobs of a study as the package lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from phenoloom.artifacts.jobs import jobs_of
from phenoloom.config import RuleSettings
from phenoloom.config.run import Config
from phenoloom.config.study import Study


def count_jobs(name: str, study: Study, config_dir: Path, studies: Mapping[str, Study] | None = None) -> Counter[str]:
    """Number of jobs of each rule; `studies` are those that `transfer` may name."""
    return Counter(job.rule for job in jobs_of(RuleSettings(name, study, Config(), config_dir, studies)))
