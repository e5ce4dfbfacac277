from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.studies import StudyOnDisk, shape_settings
from tests.helpers.training import task_of

from phenoloom.core.errors import PhenoloomError
from phenoloom.core.seeds import stable_seed
from phenoloom.data.channels import Normaliser, fit_normaliser
from phenoloom.data.loader import Epoch, Loader, cut, shuffled
from phenoloom.data.sources import ContourSource, TileSource
from phenoloom.data.study_input import stores_in
from phenoloom.training.dataset import read_training_set


class Counting:
    """Item i is a pair of pixels with value i; remembers which threads read."""

    def __init__(self, count: int = 100, fails_at: int | None = None) -> None:
        self.count, self.fails_at = count, fails_at
        self.item, self.dtype = (2,), np.dtype("uint16")
        self.readers: set[int] = set()

    def __len__(self) -> int:
        return self.count

    def read(self, rows: np.ndarray, out: np.ndarray) -> None:
        if self.fails_at in rows:
            raise PhenoloomError("tile is cut off")
        self.readers.add(threading.get_ident())
        out[:] = rows[:, None]


def values(loader: Loader, plan: list[np.ndarray]) -> list[list[int]]:
    return [batch[:, 0].to(torch.int64).tolist() for batch in loader.batches(plan)]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_batches_arrive_in_the_planned_order_whatever_the_number_of_threads(threads: int) -> None:
    plan = shuffled(np.arange(100), 7, seed=3, epoch=2)
    with Loader(Counting(), threads) as loader:
        assert values(loader, plan) == [rows.tolist() for rows in plan]
        assert values(loader, plan[::-1]) == [rows.tolist() for rows in plan[::-1]]


def test_reading_happens_in_threads_ahead_of_the_step() -> None:
    source = Counting()
    with Loader(source, 2) as loader:
        values(loader, cut(np.arange(100), 10))
    assert source.readers
    assert threading.get_ident() not in source.readers


def test_a_pass_that_is_left_early_does_not_disturb_the_next_one() -> None:
    with Loader(Counting(), 4) as loader:
        plan = cut(np.arange(100), 9)
        for batch in loader.batches(plan):
            assert batch.shape == (9, 2)
            break
        assert values(loader, plan) == [rows.tolist() for rows in plan]


def test_an_error_of_a_reading_thread_reaches_the_caller() -> None:
    with Loader(Counting(fails_at=55), 4) as loader, pytest.raises(PhenoloomError, match="cut off"):
        values(loader, cut(np.arange(100), 10))


def test_an_epoch_knows_its_length_and_may_be_asked_for_twice() -> None:
    with Loader(Counting(), 2) as loader:
        epoch = Epoch(loader, cut(np.arange(30), 8))
        iter(epoch)
        assert [len(batch) for batch in epoch] == [8, 8, 7, 7]
        assert len(epoch) == 4
        assert list(Epoch(loader, [])) == []


@given(st.integers(1, 300), st.integers(1, 64))
def test_batches_hold_every_row_once_and_differ_by_one_row_at_most(count: int, size: int) -> None:
    batches = cut(np.arange(count), size)
    lengths = {len(batch) for batch in batches}
    assert np.concatenate(batches).tolist() == list(range(count))
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1


def test_the_order_is_fixed_by_seed_and_epoch_and_changes_with_both() -> None:
    rows = np.arange(200)
    first = np.concatenate(shuffled(rows, 16, seed=1, epoch=0))
    assert sorted(first) == rows.tolist()
    assert np.array_equal(first, np.concatenate(shuffled(rows, 16, seed=1, epoch=0)))
    assert not np.array_equal(first, np.concatenate(shuffled(rows, 16, seed=1, epoch=1)))
    assert not np.array_equal(first, np.concatenate(shuffled(rows, 16, seed=2, epoch=0)))


def test_stable_seeds_depend_on_every_part_and_its_place() -> None:
    assert stable_seed(0, "fold-1") == stable_seed(0, "fold-1")
    assert stable_seed(0, "fold-1") != stable_seed(1, "fold-0")
    assert stable_seed(1, 11) != stable_seed(11, 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32"])
def test_every_camera_type_reaches_the_device_with_its_values(dtype: str) -> None:
    top = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    tiles = np.array([[0, 1], [top / 2, top]]).astype(dtype).reshape(1, 1, 2, 2)
    normalised = Normaliser((0.0,), (1.0,), 2)(torch.from_numpy(tiles))
    assert normalised.dtype == torch.float32
    assert np.allclose(normalised.numpy(), tiles.astype(np.float32))


def test_uint16_above_32767_survives_the_way_through_loader_and_normaliser() -> None:
    class Bright(Counting):
        def read(self, rows: np.ndarray, out: np.ndarray) -> None:
            out[:] = 65535 - rows[:, None, None, None]

    source = Bright()
    source.item = (1, 2, 2)
    with Loader(source, 2) as loader:
        (batch,) = [b.clone() for b in loader.batches([np.array([0, 40000])])]
    assert Normaliser((0.0,), (1.0,), 2)(batch)[:, 0, 0, 0].tolist() == [65535.0, 25535.0]


def test_normalised_pixels_have_mean_zero_and_standard_deviation_one() -> None:
    tiles = np.random.default_rng(0).integers(100, 60000, (20, 3, 8, 8), dtype=np.uint16)
    tiles[:, 2] = 7
    normaliser = fit_normaliser(tiles.mean((2, 3)), tiles.std((2, 3)), 8)
    pixels = normaliser(torch.from_numpy(tiles)).double()
    assert torch.allclose(pixels[:, :2].mean((0, 2, 3)), torch.zeros(2, dtype=torch.float64), atol=1e-4)
    assert torch.allclose(pixels[:, :2].std((0, 2, 3), correction=0), torch.ones(2, dtype=torch.float64), atol=1e-4)
    assert (pixels[:, 2] == 0).all()


def test_shrinking_averages_instead_of_sampling() -> None:
    checkerboard = torch.from_numpy((np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8))[None, None]
    small = Normaliser((0.0,), (1.0,), 32)(checkerboard)
    assert small.shape == (1, 1, 32, 32)
    assert torch.allclose(small[..., 4:-4, 4:-4], torch.tensor(100.0), atol=5)


def test_statistics_that_are_not_finite_are_refused() -> None:
    with pytest.raises(PhenoloomError, match="finite channel statistics"):
        fit_normaliser(np.array([[np.nan]]), np.array([[1.0]]), 8)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    return StudyOnDisk(tmp_path_factory.mktemp("study"), wells=6, per_well=3, shards=3)


def frame(study: StudyOnDisk) -> pd.DataFrame:
    return pq.read_table(study.index).to_pandas()


def test_tiles_of_several_shards_are_one_source_in_the_order_of_the_table(study: StudyOnDisk) -> None:
    table = frame(study).sample(frac=1, random_state=0).reset_index(drop=True)
    view = TileSource(table, study.tiles)
    assert (len(view), view.item, view.dtype, view.channels) == (18, (2, 40, 40), np.uint16, ["DNA", "actin"])
    rows = np.array([5, 0, 17, 3, 3])
    out = np.empty((5, *view.item), view.dtype)
    view.read(rows, out)
    assert np.allclose(out.mean((2, 3)), np.stack(table["channel_mean"][rows].to_numpy()), rtol=1e-6)


def test_the_stores_of_a_view_are_those_that_the_index_names_and_no_leftovers(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, shards=2)
    (tmp_path / "tiles" / "0007.json").write_text("{}")
    assert stores_in(tmp_path / "tiles", study.index) == [tmp_path / "tiles" / f"000{i}.json" for i in range(2)]
    assert stores_in(tmp_path / "shapes", study.index) == study.shapes


def test_a_shard_that_was_not_given_is_named(study: StudyOnDisk) -> None:
    with pytest.raises(PhenoloomError, match="shard 0002"):
        TileSource(frame(study), study.tiles[:2])


def test_a_store_without_manifest_does_not_exist(study: StudyOnDisk, tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="no manifest"):
        TileSource(frame(study), [*study.tiles[1:], tmp_path / "0000.json"])


def test_contours_are_joined_by_id_and_have_scale_one(study: StudyOnDisk) -> None:
    table = frame(study).sample(frac=1, random_state=1).reset_index(drop=True)
    extra: dict[str, Any] = {"id": "P/W00/0#9999"}
    table = pd.concat([pd.DataFrame([extra]), table], ignore_index=True)
    view = ContourSource(table, study.shapes)
    assert view.found.tolist() == [False] + [True] * 18
    out = np.empty((18, *view.item), np.float32)
    view.read(np.arange(18), out)
    assert np.allclose(np.sqrt((out**2).sum(2).mean(1)), 1, atol=1e-5)
    facts = {r["id"]: r["scale"] for p in study.shapes for r in pq.read_table(p.with_suffix(".parquet")).to_pylist()}
    assert view.scale.tolist() == [np.float32(facts[name]) for name in table["id"][1:]]


def test_contours_in_a_file_without_a_name_are_those_in_memory(study: StudyOnDisk, tmp_path: Path) -> None:
    table = frame(study).sample(frac=1, random_state=2).reset_index(drop=True)
    rows = np.array([5, 0, 17, 5])
    found = []
    for view in (ContourSource(table, study.shapes), ContourSource(table, study.shapes, tmp_path / "scratch")):
        found.append(np.empty((4, *view.item), np.float32))
        view.read(rows, found[-1])
    assert np.array_equal(*found)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_loader_measures_how_long_it_was_waited_for(study: StudyOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_training_set(task_of(shape_settings()), study.input("shapes"))
    ticks = iter(range(1000))
    monkeypatch.setattr("phenoloom.data.loader.time.monotonic", lambda: float(next(ticks)))
    with Loader(data.source, 1) as loader:
        assert len(list(loader.batches([np.arange(4), np.arange(4)]))) == 2
        assert loader.waited == 2.0
