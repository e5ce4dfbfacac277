from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from tests.helpers.contours import MADE_BY, write_contours

from phenoloom.artifacts.manifest import read_manifest
from phenoloom.core.errors import PhenoloomError
from phenoloom.shapes.distance_matrix import distance_matrices
from phenoloom.shapes.distances import store_distances


def test_the_step_stores_the_matrices_of_all_contours_in_order(tmp_path: Path) -> None:
    contours = np.random.default_rng(0).normal(size=(700, 24, 2)).astype(np.float32)
    manifest = tmp_path / "distances" / "0000.json"
    store_distances(write_contours(tmp_path, contours), manifest, MADE_BY)
    stored = zarr.open_group(manifest.with_suffix(".zarr"), mode="r")["distances"]
    np.testing.assert_array_equal(stored[:], distance_matrices(contours))  # type: ignore[index]
    facts = read_manifest(manifest)
    assert facts["arrays"] == {"distances": {"shape": [700, 24, 24], "dtype": "float32"}}
    assert facts["expected"] == facts["found"] == {"contours": 700}


def test_the_step_refuses_contours_without_a_manifest_and_leaves_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "distances" / "0000.json"
    with pytest.raises(PhenoloomError, match="not finished"):
        store_distances(tmp_path / "shapes" / "0000.json", manifest, MADE_BY)
    assert not manifest.exists()


def test_a_second_run_replaces_leftovers_and_writes_the_same_manifest(tmp_path: Path) -> None:
    source = write_contours(tmp_path, np.random.default_rng(0).normal(size=(5, 16, 2)).astype(np.float32))
    manifest = tmp_path / "distances" / "0000.json"
    store_distances(source, manifest, MADE_BY)
    first = manifest.read_bytes()
    manifest.unlink()
    (manifest.with_suffix(".zarr") / "stray").write_text("left by a killed run")
    store_distances(source, manifest, MADE_BY)
    assert manifest.read_bytes() == first
    assert not (manifest.with_suffix(".zarr") / "stray").exists()
