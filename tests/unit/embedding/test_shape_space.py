"""The space of an encoder of contours: everything is fitted to train rows and shown on test rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from tests.helpers.studies import StudyOnDisk, shape_settings

from phenoloom.data.sources import ContourSource
from phenoloom.embedding.shape_space import (
    LABELS,
    STEPS,
    ShapeSpace,
    describe_shape_space,
    label_masks,
    write_shape_space,
)
from phenoloom.objectives import Objective, build_objective
from phenoloom.shapes.alignment import reconstruction_errors
from phenoloom.splits.split import ALL, TEST, TRAIN

EPOCHS = {"epochs": 3, "batch_size": 8}


def objective(name: str = "ae", **changes: object) -> Objective:
    torch.manual_seed(0)
    settings = shape_settings(objective={"name": name, **changes})
    return build_objective(settings.model, 32).eval()


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> ContourSource:
    study = StudyOnDisk(tmp_path_factory.mktemp("study"), wells=8, per_well=6)
    return ContourSource(pd.DataFrame(study.rows), study.shapes)


def space(view: ContourSource, model: Objective) -> ShapeSpace:
    """The first half of the rows was trained on; labels are those of the polygons, and a label that tests lack."""
    rows = np.arange(len(view))
    contours = np.empty((len(view), *view.item), np.float32)
    view.read(rows, contours)
    with torch.inference_mode():
        vectors = model.embed(torch.from_numpy(contours)).numpy()
    test = rows >= len(view) // 2
    discs = (rows // 6) % 2 == 0
    labels = {"disc": discs, "ring": ~discs, "gone": ~test & discs}
    return ShapeSpace(model, view, view.scale, vectors, np.where(test, TEST, TRAIN), labels)


def test_a_decoder_gives_all_and_its_outlines_are_in_the_plane(view: ContourSource) -> None:
    arrays = describe_shape_space(space(view, objective()), seed=0)
    modes = len(arrays["mode_outlines"])
    assert arrays["mode_decoded"].shape == arrays["mode_outlines"].shape == (modes, 32, 2)
    assert arrays["mode_rows"].sum() == len(view) // 2
    assert arrays["mode_labels"].tolist() == ["disc", "ring"]
    assert arrays["mode_occupancy"].sum(axis=1) == pytest.approx([1, 1])
    assert arrays["path_outlines"].shape == (1, STEPS, 32, 2)
    assert arrays["path_labels"].tolist() == [["disc", "ring"]]
    assert len(arrays["decoded_errors"]) == len(view) // 2
    assert not any(arrays[name].any() for name in arrays if name.endswith("outside"))
    assert "drawn_outlines" not in arrays
    assert all(np.isfinite(values).all() for values in arrays.values() if values.dtype.kind == "f")


def test_decoded_matrices_say_how_far_they_are_from_the_plane(view: ContourSource) -> None:
    arrays = describe_shape_space(space(view, objective("vae", decoder="matrix")), seed=0)
    for name in ("mode_outside", "path_outside", "decoded_outside", "drawn_outside"):
        assert (arrays[name] > 0).all()
        assert (arrays[name] < 1).all()


def test_a_model_without_a_way_back_has_modes_and_invariances(view: ContourSource) -> None:
    settings = shape_settings(objective={"name": "contrast"}, augment={"noise": 0.1})
    model = build_objective(settings.model, 32).eval()
    found = set(describe_shape_space(space(view, model), seed=0))
    assert {"mode_outlines", "mode_occupancy", "invariance_moved"} <= found
    assert not any(name.startswith(("path", "decoded", "drawn", "mode_decoded")) for name in found)


def test_test_rows_move_no_mode(view: ContourSource) -> None:
    one = space(view, objective())
    vectors = one.vectors.copy()
    vectors[len(view) // 2 :] += 5
    first, second = describe_shape_space(one, seed=0), describe_shape_space(replace(one, vectors=vectors), seed=0)
    for name in ("mode_outlines", "mode_decoded", "mode_rows"):
        assert np.array_equal(first[name], second[name])
    assert second["mode_fit"][1] > first["mode_fit"][1]


def test_an_encoder_of_all_rows_shows_all_rows(view: ContourSource) -> None:
    every = replace(space(view, objective()), roles=np.full(len(view), ALL))
    arrays = describe_shape_space(every, seed=0)
    assert len(arrays["decoded_errors"]) == arrays["mode_rows"].sum() == len(view)
    assert arrays["mode_labels"].tolist() == ["disc", "ring", "gone"]


def test_the_ends_of_a_path_are_decoded_objects_of_their_labels(view: ContourSource) -> None:
    one = space(view, objective())
    arrays = describe_shape_space(one, seed=0)
    contours = one.outlines(np.arange(len(view)))
    for end, (label, place) in enumerate((("disc", 0), ("ring", -1))):
        nearest = reconstruction_errors(np.broadcast_to(arrays["path_ends"][0, end], contours.shape), contours)
        row = int(nearest.argmin())
        assert nearest[row] < 1e-6
        assert one.labels[label][row]
        assert one.roles[row] == TEST
        decoded = one.decode(one.vectors[[row]])
        assert decoded is not None
        assert reconstruction_errors(arrays["path_outlines"][0, [place]], decoded[0])[0] < 1e-5


def test_the_invariances_are_those_of_the_encoder(view: ContourSource) -> None:
    arrays = describe_shape_space(space(view, objective()), seed=0)
    moved = dict(zip(arrays["invariance_changes"].tolist(), arrays["invariance_moved"].tolist(), strict=True))
    assert moved["start at another point"][1] < 1e-4
    assert moved["other direction"][1] < 1e-4
    assert moved["mask noise of one pixel"][0] > 1e-3


def test_one_label_has_no_path_and_none_no_occupancy(view: ContourSource) -> None:
    one = space(view, objective())
    assert "path_outlines" not in describe_shape_space(replace(one, labels={"disc": one.labels["disc"]}), seed=0)
    assert describe_shape_space(replace(one, labels={}), seed=0)["mode_occupancy"].shape[0] == 0


def test_two_summaries_are_the_same_bytes_and_nothing_is_written_of_nothing(
    view: ContourSource, tmp_path: Path
) -> None:
    one = space(view, objective("vae"))
    for name in "ab":
        write_shape_space(tmp_path / name, one, seed=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_shape_space(tmp_path / "c", replace(one, roles=np.full(len(view), TRAIN)), seed=1)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "a", None, "b"], {"b": [0, 3], "a": [1]}),
        ([["a", "b"], ["b"], None, []], {"b": [0, 1], "a": [0]}),
        ([None, None, None, None], {}),
    ],
)
def test_rows_of_a_label_whether_they_have_one_several_or_none(
    labels: list[object], expected: dict[str, list[int]]
) -> None:
    masks: dict[str, NDArray[np.bool_]] = label_masks(pd.Series(labels, dtype=object))
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == expected
    assert list(masks) == list(expected)


def test_of_many_labels_the_commonest_are_kept() -> None:
    masks = label_masks(pd.Series([f"{i:03d}" for i in range(100)] + ["090"]))
    assert list(masks)[:2] == ["090", "000"]
    assert len(masks) == LABELS
