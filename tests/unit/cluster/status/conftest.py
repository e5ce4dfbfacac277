from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.status import demo, write

from phenoloom.artifacts.jobs import jobs_of


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of a demo study that lack only the tiles of the second shard."""
    folder = tmp_path / "results"
    for job in jobs_of(demo(folder)):
        for output in job.outputs:
            if output != folder / "demo" / "tiles" / "0001.json":
                write(output)
    return folder
