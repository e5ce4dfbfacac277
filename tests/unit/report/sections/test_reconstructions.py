from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tests.helpers.report_results import ReportedStudy

from phenoloom.report.results import TrainedModel
from phenoloom.report.sections.reconstructions import matrix_gallery, model_galleries


def trained(folder: Path, split: str, before: np.ndarray, after: np.ndarray) -> TrainedModel:
    path = folder / f"{split}.npz"
    np.savez(path, inputs=before, outputs=after)
    return TrainedModel("net", split, {}, None, path)


def test_pose_start_and_direction_of_a_decoded_contour_are_not_shown_as_errors(tmp_path: Path) -> None:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outline = np.column_stack([3 * np.cos(t), np.sin(t) + 0.3 * np.cos(2 * t)])[None]
    turned = np.roll(outline[:, ::-1] @ np.array([[0.0, -1.0], [1.0, 0.0]]), 11, axis=1) + 5
    ((_, gallery),) = model_galleries([trained(tmp_path, "fold-0", outline, turned)], [])
    (picture,) = gallery.groups[0][1]
    first, second = (np.array(d.split(), float) for d in re.findall(r'd="M([^"z]*)z"', str(picture.drawing)))
    assert np.abs(first - second).max() < 0.11


def test_the_first_split_with_reconstructions_is_shown_with_the_names_of_the_channels(tmp_path: Path) -> None:
    tiles = np.random.default_rng(0).random((3, 2, 8, 8))
    models = [TrainedModel("net", "fold-0", {}, None, None)]
    models += [trained(tmp_path, f"fold-{k}", tiles[: k + 1], tiles[: k + 1]) for k in (1, 2)]
    ((name, gallery),) = model_galleries(models, ["DNA", "actin"])
    assert name == "net"
    assert gallery.caption.startswith("net, fold-1: tiles")
    assert [(title, len(pictures)) for title, pictures in gallery.groups] == [("net: input", 2), ("net: output", 2)]
    assert [channel.name for channel in gallery.channels] == ["DNA", "actin"]
    ((_, other),) = model_galleries(models, ["DNA"])
    assert [channel.name for channel in other.channels] == ["channel 0", "channel 1"]


def test_distance_matrices_give_their_contours_back_exactly(study: ReportedStudy) -> None:
    gallery = matrix_gallery(study.results, seed=0)
    assert gallery is not None
    assert "contours: below 0.001 px" in gallery.caption
    assert len(gallery.groups[0][1]) == 4
