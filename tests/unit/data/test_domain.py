from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings

from phenoloom.core.errors import PhenoloomError
from phenoloom.data.contour_domain import ContourDomain
from phenoloom.data.domain import Domain, domain_of
from phenoloom.data.opened import TrainedOn
from phenoloom.data.tile_domain import TileDomain


def tiles(**changes: Any) -> Domain:
    return domain_of(image_settings(**changes).model)


def contours() -> Domain:
    return domain_of(shape_settings().model)


def rows(study: StudyOnDisk) -> pd.DataFrame:
    return pd.DataFrame(study.rows)


def test_the_settings_of_a_model_choose_its_domain() -> None:
    assert isinstance(tiles(), TileDomain)
    assert isinstance(contours(), ContourDomain)
    assert (tiles().items, contours().items) == ("tiles", "contours")


def test_a_row_without_an_item_is_lost(study: StudyOnDisk) -> None:
    table = pd.concat([rows(study), rows(study).head(1).assign(id="nowhere")], ignore_index=True)
    opened = contours().open(table, study.shapes)
    assert (opened.lost, len(opened.source)) == (1, len(study.rows))
    assert opened.found.tolist() == [True] * len(study.rows) + [False]
    assert tiles().open(rows(study), study.tiles).lost == 0


def test_the_size_of_a_network_is_its_channels_or_its_points(study: StudyOnDisk) -> None:
    source = contours().open(rows(study), study.shapes).source
    points = contours().points([source, source])
    assert (points, contours().network_size(None, points)) == (32, 32)
    assert tiles().network_size(["DNA", "actin", "ER"], None) == 3
    assert tiles().input_shape(3) == (3, 32, 32)
    assert tiles().item_shape(3, 40) == (3, 40, 40)
    assert contours().input_shape(32) == contours().item_shape(32, None) == (32, 2)


def test_tiles_of_another_study_are_matched_by_name(study: StudyOnDisk) -> None:
    domain = tiles(channels={"names": ["DNA", "actin"], "aliases": {"nucleus": "DNA"}})
    source = domain.open(rows(study), study.tiles).source
    trained = TrainedOn(["actin", "nucleus"], None, "uint16", Path("model.yaml"))
    assert domain.match(source, trained, guest="toy") == [1, 0]
    assert domain.match(source, replace(trained, channels=["DNA", "actin"]), guest="toy") is None
    with pytest.raises(PhenoloomError, match=r"model.yaml was trained on channels \['actin', 'nucleus'\]"):
        domain.match(source, trained)
    with pytest.raises(PhenoloomError, match="pixels of type uint8, and toy has uint16"):
        domain.match(source, replace(trained, dtype="uint8"), guest="toy")
    with pytest.raises(PhenoloomError, match="trained on channels ER, and toy has DNA, actin"):
        domain.match(source, replace(trained, channels=["ER"]), guest="toy")


def test_contours_of_another_number_of_points_are_refused(study: StudyOnDisk) -> None:
    source = contours().open(rows(study), study.shapes).source
    trained = TrainedOn(None, 32, None, Path("model.yaml"))
    assert contours().match(source, trained) is None
    with pytest.raises(PhenoloomError, match="contours of 64 points, these have 32"):
        contours().match(source, replace(trained, points=64))


def test_tiles_are_normalised_in_the_order_of_training_and_contours_stay(study: StudyOnDisk) -> None:
    domain = tiles()
    opened = domain.open(rows(study), study.tiles)
    batch = np.empty((3, *opened.source.item), opened.source.dtype)
    opened.source.read(np.arange(3), batch)
    normaliser = domain.normaliser([1.0, 2.0], [2.0, 4.0])
    assert normaliser is not None
    found = domain.prepare(torch.from_numpy(batch), normaliser, None, [1, 0])
    assert found.shape == (3, 2, 32, 32)
    assert torch.equal(found, normaliser(torch.from_numpy(batch[:, [1, 0]].astype(np.float32))))
    outline = torch.randn(2, 32, 2)
    assert contours().normaliser([], []) is None
    assert contours().prepare(outline, None, None) is outline


def test_examples_have_the_statistics_of_the_training_and_the_same_seed_the_same_values() -> None:
    statistics = tiles().normaliser([1000.0, 50.0], [200.0, 5.0])
    one, two = (tiles().example((2, 64, 64), 4, np.random.default_rng(0), statistics) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(one, one.round())
    torch.testing.assert_close(one.mean((0, 2, 3)), torch.tensor([1000.0, 50.0]), rtol=0.02, atol=0)
    outlines = contours().example((32, 2), 4, np.random.default_rng(0), None)
    assert outlines.shape == (4, 32, 2)
    assert outlines.dtype == torch.float32
