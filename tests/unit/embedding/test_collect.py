import json
import shutil
from pathlib import Path

import anndata
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.studies import made_by

from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding.collect import Map, collect, project


def write_embedding(path, name, ids, vectors, label=None, images=None):
    number = len(ids)
    texts = {"study": ["s"] * number, "image": images or list(ids), "plate": ["p"] * number, "well": ["A1"] * number}
    texts |= {"field": [None] * number, "role": ["all"] * number}
    table = {"Metadata_id": pa.array(ids)} | {f"Metadata_{k}": pa.array(v, pa.string()) for k, v in texts.items()}
    table["Metadata_object"] = pa.array(range(number), pa.int32())
    table["Metadata_label"] = pa.array(label or ["a"] * number)
    table |= {f"{name}_{n:04d}": pa.array(column, pa.float32()) for n, column in enumerate(np.asarray(vectors).T)}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    return path


def write_folds(path, ids, multi=False, unit="object"):
    facts = {"unit": unit, "count": 2, "multi_label": multi, "classes": {"a": 1}}
    table = {"id": ids, "group": [f"g{i}" for i in ids], "fold": pa.array([n % 2 for n in range(len(ids))], pa.int16())}
    table["label"] = [["a"] if multi else "a"] * len(ids)
    pq.write_table(pa.table(table).replace_schema_metadata({b"phenoloom": json.dumps(facts)}), path)
    return path


def collected(tmp_path, folds, embeddings, map_points=1000):
    tables = [path for paths in embeddings.values() for path in paths]
    collect(list(embeddings), tables, folds, Map(map_points, seed=0), tmp_path / "embeddings.h5ad", made_by("s"))
    return anndata.read_h5ad(tmp_path / "embeddings.h5ad")


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


def names(number):
    return [f"i{n:02d}#0001" for n in range(number)]


def test_vectors_of_all_splits_are_in_rows_that_say_where_they_come_from(tmp_path, vectors):
    ids = names(40)
    per_fold = [write_embedding(tmp_path / "net" / f"fold-{k}.parquet", "net", ids, vectors + k) for k in (1, 0)]
    whole = [write_embedding(tmp_path / "area" / "all.parquet", "area", ids, vectors[:, :2])]
    found = collected(tmp_path, write_folds(tmp_path / "folds.parquet", ids), {"net": per_fold, "area": whole})
    assert found.obs_names.tolist() == ids
    assert found.obs["fold"].tolist() == [0, 1] * 20
    assert found.obs["group"].tolist() == [f"g{i}" for i in ids]
    assert found.obs["plate"].tolist() == ["p"] * 40
    assert set(found.obsm) == {"net.fold-0", "net.fold-1", "net.map", "area.all", "area.map"}
    np.testing.assert_array_equal(found.obsm["net.fold-1"], vectors + 1)
    assert found.obsm["area.all"].dtype == np.float32
    assert found.uns["maps"]["net"]["split"] == "fold-0"
    assert found.uns["study"] == "s"
    assert list(found.uns["splits"]["net"]) == ["fold-0", "fold-1"]


def test_a_disk_without_space_is_refused_before_anything_is_written(tmp_path, vectors, monkeypatch):
    ids = names(40)
    whole = [write_embedding(tmp_path / "area" / "all.parquet", "area", ids, vectors)]
    folds = write_folds(tmp_path / "folds.parquet", ids)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=40 * 5 * 4 - 1))
    with pytest.raises(OSError, match="No space left on device"):
        collected(tmp_path, folds, {"area": whole})
    assert not (tmp_path / "embeddings.h5ad").exists()


def test_rows_that_a_representation_lacks_are_nan_and_no_row_is_lost(tmp_path, vectors):
    ids = names(40)
    embeddings = {
        "tiles": [write_embedding(tmp_path / "tiles" / "all.parquet", "tiles", ids[:30], vectors[:30])],
        "shapes": [write_embedding(tmp_path / "shapes" / "all.parquet", "shapes", ids[20:], vectors[20:])],
    }
    found = collected(tmp_path, write_folds(tmp_path / "folds.parquet", ids), embeddings)
    assert found.obs_names.tolist() == ids
    np.testing.assert_array_equal(np.isnan(found.obsm["shapes.all"]).all(axis=1), np.arange(40) < 20)
    np.testing.assert_array_equal(found.obsm["shapes.all"][20:], vectors[20:])
    np.testing.assert_array_equal(np.isnan(found.obsm["tiles.map"]).any(axis=1), np.arange(40) >= 30)


def test_maps_show_the_same_limited_rows_for_all_representations(tmp_path, vectors):
    ids = names(40)
    embeddings = {
        "one": [write_embedding(tmp_path / "one" / "all.parquet", "one", ids, vectors)],
        "two": [write_embedding(tmp_path / "two" / "all.parquet", "two", ids, vectors**2)],
    }
    found = collected(tmp_path, write_folds(tmp_path / "folds.parquet", ids), embeddings, map_points=15)
    shown = ~np.isnan(found.obsm["one.map"]).any(axis=1)
    assert shown.sum() == 15 == found.uns["maps"]["one"]["points"]
    np.testing.assert_array_equal(shown, ~np.isnan(found.obsm["two.map"]).any(axis=1))


def test_rows_take_the_fold_and_group_of_their_unit(tmp_path, vectors):
    ids, images = names(40), [f"i{n // 4}" for n in range(40)]
    embeddings = {"net": [write_embedding(tmp_path / "net" / "all.parquet", "net", ids, vectors, images=images)]}
    folds = write_folds(tmp_path / "folds.parquet", [f"i{n}" for n in range(9)], unit="image")
    found = collected(tmp_path, folds, embeddings)
    assert found.obs["unit"].tolist() == images
    # The last image is in no fold.
    assert found.obs["fold"].tolist() == [*np.repeat(np.arange(9) % 2, 4), -1, -1, -1, -1]


def test_several_labels_of_a_row_are_one_text(tmp_path, vectors):
    ids = names(40)
    label = [["a", "b"], None, *[["a"]] * 38]
    embeddings = {"net": [write_embedding(tmp_path / "net" / "all.parquet", "net", ids, vectors, label=label)]}
    found = collected(tmp_path, write_folds(tmp_path / "folds.parquet", ids, multi=True), embeddings)
    assert found.obs["label"].astype(object).tolist()[0] == "a; b"
    assert found.obs["label"].isna().tolist() == [False, True] + [False] * 38


def test_a_second_run_writes_the_same_bytes(tmp_path, vectors):
    ids = names(40)
    embeddings = {"net": [write_embedding(tmp_path / "net" / "all.parquet", "net", ids, vectors)]}
    folds, written = write_folds(tmp_path / "folds.parquet", ids), []
    for _ in range(2):
        collected(tmp_path, folds, embeddings)
        written.append((tmp_path / "embeddings.h5ad").read_bytes())
    assert written[0] == written[1]


def test_a_failure_leaves_no_file_behind(tmp_path, vectors):
    ids = names(40)
    vectors[3, 1] = np.nan
    embeddings = {"net": [write_embedding(tmp_path / "net" / "all.parquet", "net", ids, vectors)]}
    folds = write_folds(tmp_path / "folds.parquet", ids)
    with pytest.raises(PhenoloomError, match="first 'i03#0001' in net_0001"):
        collected(tmp_path, folds, embeddings)
    assert {path.name for path in tmp_path.iterdir()} == {"net", "folds.parquet"}


def test_a_row_that_is_embedded_twice_is_refused(tmp_path, vectors):
    ids = [*names(39), "i00#0001"]
    embeddings = {"net": [write_embedding(tmp_path / "net" / "all.parquet", "net", ids, vectors)]}
    with pytest.raises(PhenoloomError, match="'i00#0001' is embedded twice"):
        collected(tmp_path, write_folds(tmp_path / "folds.parquet", names(39)), embeddings)


@pytest.mark.parametrize(
    ("tables", "found"), [([], "none"), ([Path("net/all.parquet"), Path("other/all.parquet")], ".*other")]
)
def test_a_missing_or_foreign_representation_is_refused(tables, found, tmp_path):
    with pytest.raises(PhenoloomError, match=f"Embeddings of net are expected, .* found {found}"):
        collect(["net"], tables, tmp_path / "folds.parquet", Map(10, seed=0), tmp_path / "e.h5ad", made_by("s"))


def test_separated_clusters_stay_separated_on_the_map_and_the_seed_repeats_it():
    codes = np.arange(90) % 3
    cloud = (np.eye(3)[codes] * 20 + np.random.default_rng(0).normal(size=(90, 3))).astype(np.float32)
    found, method = project(cloud, seed=1)
    assert method == "t-SNE"
    np.testing.assert_array_equal(found, project(cloud, seed=1)[0])
    distance = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (codes[distance.argmin(axis=1)] == codes).all()


@pytest.mark.parametrize("shape", [(5, 3), (40, 1), (2, 1)])
def test_few_points_or_one_feature_are_mapped_by_their_first_components(shape):
    found, method = project(np.random.default_rng(0).normal(size=shape).astype(np.float32), seed=0)
    assert method == "PCA"
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_equal_vectors_of_a_collapsed_encoder_are_one_point_on_the_map():
    found, method = project(np.full((30, 4), 7, np.float32), seed=0)
    assert method == "PCA"
    assert not found.any()
