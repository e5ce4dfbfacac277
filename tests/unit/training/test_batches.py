from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.studies import StudyOnDisk, image_settings
from tests.helpers.training import task_of

from phenoloom.data.domain import domain_of
from phenoloom.training.batches import cut_parts, preparation
from phenoloom.training.dataset import read_training_set


@pytest.mark.parametrize(
    ("count", "least", "sizes"), [(1, 8, [8]), (3, 8, [3, 3, 2]), (4, 6, [3, 3, 2]), (4, 3, [8]), (4, 1, [8])]
)
def test_parts_hold_two_items_of_the_smallest_share_at_least(count: int, least: int, sizes: list[int]) -> None:
    inputs, keys = torch.arange(8.0), torch.arange(16).view(8, 2)
    parts = cut_parts(inputs, keys, count, least)
    assert [len(part) for part, _ in parts] == sizes
    assert torch.equal(torch.cat([part for part, _ in parts]), inputs)
    assert all(torch.equal(part.long() * 2, theirs[:, 0]) for part, theirs in parts)
    assert [len(part) for part in cut_parts(inputs, None, count, least)] == [1] * len(sizes)


def test_only_training_augments_and_only_where_the_objective_does_not(study: StudyOnDisk) -> None:
    settings = image_settings(augment={"offset": 1.0})
    data = read_training_set(task_of(settings), study.input())
    rows = np.arange(4)
    batch = np.empty((4, *data.source.item), data.source.dtype)
    data.source.read(rows, batch)
    assert data.normaliser is not None
    plain = data.normaliser(torch.from_numpy(batch))
    domain = domain_of(settings.model)
    for makes_views, seed, augmented in ((False, None, False), (False, 0, True), (True, 0, False)):
        prepare = preparation(domain, "toy", data, makes_views)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        found = prepare(torch.from_numpy(batch), generator, rows)
        assert torch.equal(found, plain) != augmented
