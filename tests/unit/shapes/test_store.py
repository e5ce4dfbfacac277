from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from tests.helpers.contours import blobs, write_contours

from phenoloom.core.errors import PhenoloomError
from phenoloom.shapes import store as module
from phenoloom.shapes.store import ArrayWriter, ContourStore


def test_contours_are_read_back_in_blocks_with_their_ids_and_scales(tmp_path: Path) -> None:
    contours = blobs(7, 16).astype(np.float32)
    store = ContourStore(write_contours(tmp_path, contours))
    blocks = list(store.blocks(3))
    assert [(start, len(block)) for start, block in blocks] == [(0, 3), (3, 3), (6, 1)]
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), contours)
    assert (len(store), store.shape) == (7, (7, 16, 2))
    assert store.ids.to_pylist() == [f"cell {i}" for i in range(7)]
    np.testing.assert_allclose(store.scales, np.sqrt((contours**2).sum(2).mean(1)), rtol=1e-6)


def test_a_store_without_contours_has_no_blocks(tmp_path: Path) -> None:
    store = ContourStore(write_contours(tmp_path, np.empty((0, 16, 2))))
    assert list(store.blocks(3)) == []
    assert (len(store), store.scales.shape, store.ids.to_pylist()) == (0, (0,), [])


def test_a_store_that_is_not_what_its_manifest_states_is_refused(tmp_path: Path) -> None:
    manifest = write_contours(tmp_path, blobs(3, 16))
    zarr.open_array(manifest.with_suffix(".zarr") / "contours").resize((2, 16, 2))
    with pytest.raises(PhenoloomError, match=r"states contours \(3, 16, 2\), but .* holds \(2, 16, 2\)"):
        ContourStore(manifest)


def test_the_array_and_its_digest_do_not_depend_on_how_items_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shard files of four items, so that items cross their borders.
    monkeypatch.setattr(module, "_CHUNK_BYTES", 2 * 4 * 6)
    monkeypatch.setattr(module, "_SHARD_BYTES", 4 * 4 * 6)
    items = np.random.default_rng(0).normal(size=(11, 3, 2)).astype(np.float32)
    digests = []
    for name, cuts in (("one", [11]), ("many", [1, 5, 5, 9, 11])):
        writer = ArrayWriter(tmp_path / name, "items", (3, 2), {})
        for part in np.split(items, cuts):
            writer.append(part)
        digests.append(writer.close())
        assert writer.arrays() == {"items": {"shape": [11, 3, 2], "dtype": "float32"}}
        np.testing.assert_array_equal(zarr.open_array(tmp_path / name / "items")[:], items)  # type: ignore[arg-type]
    assert digests[0] == digests[1]
