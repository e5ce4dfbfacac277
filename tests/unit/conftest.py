"""What several tests of this folder start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.helpers.studies import StudyOnDisk


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    """Eight wells of four objects, tiles and shapes, in four folds."""
    return StudyOnDisk(tmp_path_factory.mktemp("study"), wells=8, per_well=4)


@pytest.fixture
def same_threads() -> Iterator[None]:
    """Trainings set the threads of torch for their process; the next test finds them as they were."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
