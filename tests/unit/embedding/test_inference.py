"""Vectors of a model: in the order of the index, whatever its order, from files without a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.helpers.studies import StudyOnDisk, image_settings, shape_settings

from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding import inference
from phenoloom.embedding.inference import encode
from phenoloom.embedding.representation import Encoder, Guest
from phenoloom.models.checkpoint import Card, initial_objective, save_card, save_weights


def put_model(folder: Path, settings: PretrainSettings, **changes: Any) -> Path:
    """A model with its initial weights, as a training would leave it."""
    counts = {name: 0 for name in Card.model_fields if name.endswith(("_rows", "_groups", "_epoch", "_run", "seed"))}
    values = {"name": "m", "study": "toy", "split": settings.split, "settings_sha256": "0", "phenoloom": "0"}
    values |= {"commit": None, "model": settings.model, "validation_loss": 0, "rows_without_shape": 0}
    values |= {"channels": None, "mean": None, "std": None, "points": None, "precision": "float32", "preparation": {}}
    values |= changes
    card = Card.model_validate({**counts, **values})
    save_weights(folder, initial_objective(card.model, card.size, 0, card.channels).state_dict())
    save_card(folder, card)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    return StudyOnDisk(tmp_path_factory.mktemp("study"), wells=4, per_well=4)


@pytest.fixture(scope="module")
def contours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_model(tmp_path_factory.mktemp("contours"), shape_settings(), points=32)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    statistics = {"mean": [3e4, 3e4], "std": [1e4, 1e4]}
    return put_model(tmp_path_factory.mktemp("tiles"), image_settings(), channels=["DNA", "actin"], **statistics)


def test_a_vector_is_the_same_to_its_last_bit_wherever_its_row_lies(
    study: StudyOnDisk, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches of other rows would be summed in another order.
    monkeypatch.setattr(inference, "BATCH", 3)
    rows = pd.DataFrame(study.rows)
    order = np.random.default_rng(0).permutation(len(rows))
    first = encode(Encoder(tiles, "fold-0"), rows, study.tiles, tmp_path, 1)
    second = encode(Encoder(tiles, "fold-0"), rows.iloc[order], study.tiles, tmp_path, 1)
    assert np.array_equal(first.values[order], second.values)
    assert len(np.unique(first.values, axis=0)) == len(rows)
    assert first.found.all()


def test_rows_without_a_contour_have_no_vector_and_the_others_have_the_size_of_theirs(
    study: StudyOnDisk, contours: Path, tmp_path: Path
) -> None:
    rows = pd.DataFrame([{"id": "lost"}, *({"id": row["id"]} for row in study.rows)])
    found = encode(Encoder(contours, "fold-0"), rows, study.shapes, tmp_path, 1)
    assert found.found.tolist() == [False] + [True] * len(study.rows)
    assert found.values.shape == (len(study.rows), 8)
    assert found.source.scale is not None
    assert (found.source.scale > 10).all()
    with pytest.raises(PhenoloomError, match="No row of the index has anything to embed"):
        encode(Encoder(contours, "fold-0"), rows.iloc[:1], study.shapes, tmp_path, 1)


def test_vectors_lie_on_the_disk_in_a_file_without_a_name(study: StudyOnDisk, contours: Path, tmp_path: Path) -> None:
    found = encode(Encoder(contours, "fold-0"), pd.DataFrame(study.rows), study.shapes, tmp_path / "scratch", 1)
    assert isinstance(found.values, np.memmap)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": "fold-1"}, "was trained for split fold-0, expected fold-1"),
        ({"guest": Guest("guest", "elsewhere")}, "was trained for study toy, expected elsewhere"),
    ],
)
def test_a_model_of_another_split_or_study_is_refused(
    changes: dict[str, Any], sentence: str, study: StudyOnDisk, contours: Path, tmp_path: Path
) -> None:
    encoder = Encoder(**{"model": contours, "split": "fold-0", **changes})
    with pytest.raises(PhenoloomError, match=sentence):
        encode(encoder, pd.DataFrame(study.rows), study.shapes, tmp_path, 1)


def test_items_that_are_not_like_those_of_training_are_refused(study: StudyOnDisk, tiles: Path, tmp_path: Path) -> None:
    other = put_model(tmp_path / "points", shape_settings(), points=16)
    with pytest.raises(PhenoloomError, match="trained on contours of 16 points, these have 32"):
        encode(Encoder(other, "fold-0"), pd.DataFrame(study.rows), study.shapes, tmp_path, 1)
    renamed = StudyOnDisk(tmp_path / "study", wells=1, per_well=1, shards=1, channels=("DNA", "ER"))
    with pytest.raises(PhenoloomError, match="was trained on channels"):
        encode(Encoder(tiles, "fold-0"), pd.DataFrame(renamed.rows), renamed.tiles, tmp_path, 1)
