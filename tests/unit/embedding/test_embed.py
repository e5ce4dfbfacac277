from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.helpers.studies import StudyOnDisk, image_settings, made_by, shape_settings
from tests.helpers.training import task_of

from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding.embed import embed
from phenoloom.embedding.representation import Concatenation, Descriptors, Encoder, Representation
from phenoloom.embedding.table import read_embedding
from phenoloom.models.checkpoint import load_objective, read_card
from phenoloom.training.pretrain import pretrain


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    study = StudyOnDisk(tmp_path_factory.mktemp("study"), wells=8, per_well=3)
    for settings in (image_settings(), shape_settings()):
        output = study.folder / "models" / settings.model.view
        pretrain(task_of(settings), [study.input(settings.model.view)], output)
    return study


def run(study: StudyOnDisk, representation: Representation, output: Path, **changes: Any) -> pd.DataFrame:
    threads, origin = changes.pop("threads", 1), representation.origin
    shapes = isinstance(origin, Encoder) and origin.model.name == "shapes"
    given = replace(study.input("shapes" if shapes else "tiles"), **changes)
    embed(representation, given, output, made_by(), threads)
    return pd.read_parquet(output)


def facts(path: Path) -> dict[str, Any]:
    return json.loads(pq.read_schema(path).metadata[b"phenoloom"])


def tiles(study: StudyOnDisk, split: str = "fold-0", *, untrained: bool = False) -> Representation:
    return Representation("vq", Encoder(study.folder / "models" / "tiles", split, untrained))


def shapes(study: StudyOnDisk, *, untrained: bool = False) -> Representation:
    return Representation("ae", Encoder(study.folder / "models" / "shapes", "fold-0", untrained))


def descriptors(name: str, *tables: Path, called: str = "props") -> Representation:
    return Representation(called, Descriptors(name, tables))  # type: ignore[arg-type]


def test_one_row_a_tile_in_the_order_of_the_index_with_its_metadata_and_role(
    study: StudyOnDisk, tmp_path: Path
) -> None:
    table, index = run(study, tiles(study), tmp_path / "e.parquet"), pd.read_parquet(study.index)
    assert table.columns.tolist() == [
        *(
            f"Metadata_{name}"
            for name in ("id", "study", "image", "plate", "well", "field", "object", "label", "group")
        ),
        "Metadata_role",
        *(f"vq_{i:04d}" for i in range(16)),
    ]
    assert table["Metadata_id"].tolist() == index["id"].tolist()
    assert set(table["Metadata_well"][table["Metadata_role"] == "test"]) == {"W00", "W04"}
    assert set(table["Metadata_role"]) == {"train", "test"}
    assert table["Metadata_group"].tolist() == [f"P/{well}" for well in index["well"]]
    assert (table.dtypes.filter(like="vq_") == np.float32).all()
    assert (
        facts(tmp_path / "e.parquet").items()
        >= {
            "representation": "vq",
            "split": "fold-0",
            "features": None,
            "rows": 24,
            "missing": 0,
            "seen_test_groups": False,
        }.items()
    )


def test_vectors_are_those_of_the_model_one_by_one(study: StudyOnDisk, tmp_path: Path) -> None:
    table = run(study, shapes(study), tmp_path / "e.parquet")
    folder = study.folder / "models" / "shapes"
    objective = load_objective(folder, read_card(folder))
    import zarr

    for store in study.shapes:
        contours = zarr.open_group(store.with_suffix(".zarr"), mode="r")["contours"][:]
        facts_of = pq.read_table(store.with_suffix(".parquet")).to_pandas()
        for contour, name, scale in zip(contours, facts_of["id"], facts_of["scale"], strict=True):
            with torch.inference_mode():
                expected = objective.embed(torch.from_numpy(contour / scale)[None])[0].numpy()
            row = table[table["Metadata_id"] == name].iloc[0]
            assert np.allclose(row.filter(like="ae_").to_numpy(np.float32), expected, atol=1e-5)
            assert row["Metadata_scale"] == pytest.approx(np.log(scale), rel=1e-6)


@pytest.mark.parametrize("kind", [tiles, shapes], ids=["tiles", "shapes"])
def test_the_same_bytes_twice_whatever_threads(
    kind: Callable[[StudyOnDisk], Representation], study: StudyOnDisk, tmp_path: Path
) -> None:
    run(study, kind(study), tmp_path / "a" / "e.parquet")
    run(study, kind(study), tmp_path / "b" / "e.parquet", threads=3)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == (["e.parquet"] if kind is tiles else ["e.parquet", "e.shapes.npz"])
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_shapes_are_summarised_for_trained_models_of_contours_and_no_old_summary_stays(
    study: StudyOnDisk, tmp_path: Path
) -> None:
    summary = tmp_path / "e.shapes.npz"
    run(study, shapes(study), tmp_path / "e.parquet")
    with np.load(summary, allow_pickle=False) as arrays:
        roles = pd.read_parquet(tmp_path / "e.parquet")["Metadata_role"]
        assert arrays["mode_rows"].sum() == (roles == "train").sum()
        assert len(arrays["decoded_errors"]) == (roles == "test").sum()
    run(study, shapes(study, untrained=True), tmp_path / "e.parquet")
    assert not summary.exists()


def test_vectors_do_not_depend_on_the_number_of_shards(study: StudyOnDisk, tmp_path: Path) -> None:
    other = StudyOnDisk(tmp_path / "study", wells=8, per_well=3, shards=4)
    first = run(study, tiles(study), tmp_path / "a.parquet").set_index("Metadata_id").sort_index()
    second = run(other, tiles(study), tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(first, second.set_index("Metadata_id").sort_index(), check_exact=True)


def test_the_untrained_encoder_has_other_vectors_that_follow_from_the_seed(study: StudyOnDisk, tmp_path: Path) -> None:
    untrained = tiles(study, untrained=True)
    table = run(study, untrained, tmp_path / "u.parquet").filter(like="vq_")
    assert not np.allclose(table, run(study, tiles(study), tmp_path / "t.parquet").filter(like="vq_"))
    pd.testing.assert_frame_equal(table, run(study, untrained, tmp_path / "v.parquet").filter(like="vq_"))


def test_a_model_of_another_split_is_refused(study: StudyOnDisk, tmp_path: Path) -> None:
    with pytest.raises(PhenoloomError, match="was trained for split fold-0, expected fold-1"):
        run(study, tiles(study, "fold-1"), tmp_path / "e.parquet")


def index_with_a_rejected_object(study: StudyOnDisk, folder: Path) -> Path:
    table = pq.read_table(study.index)
    extra = table.slice(3, 1).set_column(0, "id", pa.array(["P/W01/0#9999"]))
    pq.write_table(pa.concat_tables([table.slice(0, 5), extra, table.slice(5)]), folder / "index.parquet")
    return folder / "index.parquet"


def test_rows_without_a_contour_are_left_out_and_counted(study: StudyOnDisk, tmp_path: Path) -> None:
    index = index_with_a_rejected_object(study, tmp_path)
    table = run(study, shapes(study), tmp_path / "e.parquet", index=index)
    pd.testing.assert_frame_equal(table, run(study, shapes(study), tmp_path / "f.parquet"))
    assert (facts(tmp_path / "e.parquet")["missing"], facts(tmp_path / "e.parquet")["rows"]) == (1, 24)


def descriptor_tables(study: StudyOnDisk, folder: Path, bad: float = 2.0) -> list[Path]:
    paths = []
    for number, rows in enumerate((study.rows[::2], study.rows[1::2])):
        frame = pd.DataFrame({"id": [row["id"] for row in rows]})
        frame["efd_0"] = np.float32(7)
        frame["regionprops_area"] = np.float32([row["object"] for row in rows])
        frame["regionprops_eccentricity"] = np.float32(bad if number else 1)
        paths.append(folder / f"{number:04d}.parquet")
        frame.to_parquet(paths[-1])
    return paths


def test_descriptors_are_selected_by_name_and_joined_by_id(study: StudyOnDisk, tmp_path: Path) -> None:
    index = index_with_a_rejected_object(study, tmp_path)
    props = descriptors("regionprops", *descriptor_tables(study, tmp_path))
    result = run(study, props, tmp_path / "e.parquet", stores=[], index=index)
    assert result["Metadata_id"].tolist() == [row["id"] for row in study.rows]
    assert result["props_0000"].tolist() == [row["object"] for row in study.rows]
    assert result["props_0001"].tolist() == [2.0 if i % 2 else 1.0 for i in range(24)]
    assert set(result["Metadata_role"]) == {"all"}
    assert facts(tmp_path / "e.parquet")["features"] == ["regionprops_area", "regionprops_eccentricity"]
    assert facts(tmp_path / "e.parquet")["missing"] == 1


def test_a_feature_that_is_not_finite_is_named_with_its_row(study: StudyOnDisk, tmp_path: Path) -> None:
    tables, first = descriptor_tables(study, tmp_path, bad=np.nan), study.rows[1]["id"]
    with pytest.raises(PhenoloomError, match=f"regionprops_eccentricity of {first} is nan.*in 12 of 24 rows"):
        run(study, descriptors("regionprops", *tables), tmp_path / "e.parquet")
    assert not (tmp_path / "e.parquet").exists()


def test_a_descriptor_that_no_shard_has_is_refused(study: StudyOnDisk, tmp_path: Path) -> None:
    fourier = descriptors("fourier", *descriptor_tables(study, tmp_path))
    with pytest.raises(PhenoloomError, match=r"0000.parquet must have the same `fourier_\*` columns"):
        run(study, fourier, tmp_path / "e.parquet")


def test_intensity_is_mean_and_spread_of_each_channel(study: StudyOnDisk, tmp_path: Path) -> None:
    result = run(study, descriptors("intensity", called="light"), tmp_path / "e.parquet", stores=[])
    for i, name in enumerate(("channel_mean", "channel_std")):
        expected = np.stack([row[name] for row in study.rows]).astype(np.float32)
        assert np.array_equal(result[[f"light_{2 * i:04d}", f"light_{2 * i + 1:04d}"]].to_numpy(), expected)


def test_large_tables_are_written_in_blocks_of_the_same_content(
    study: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(study, tiles(study), tmp_path / "a.parquet")
    monkeypatch.setattr("phenoloom.embedding.table.ROWS_A_GROUP", 5)
    pd.testing.assert_frame_equal(run(study, tiles(study), tmp_path / "b.parquet"), whole)
    assert pq.ParquetFile(tmp_path / "b.parquet").num_row_groups == 5


def test_a_transductive_model_says_that_it_has_seen_the_test_groups(study: StudyOnDisk, tmp_path: Path) -> None:
    settings = shape_settings("all", training={"epochs": 1})
    pretrain(task_of(settings), [study.input("shapes")], tmp_path / "shapes")
    table = run(study, Representation("ae", Encoder(tmp_path / "shapes", "all")), tmp_path / "e.parquet")
    assert facts(tmp_path / "e.parquet")["seen_test_groups"] is True
    assert set(table["Metadata_role"]) == {"all"}


def joined(study: StudyOnDisk, folder: Path, split: str = "fold-0") -> tuple[Path, Path]:
    """Tables of a model of shapes and of descriptors, each where the workflow puts it."""
    learned, props = folder / "ae" / f"{split}.parquet", folder / "props" / "all.parquet"
    index = index_with_a_rejected_object(study, folder)
    run(study, shapes(study), learned, index=index)
    run(study, descriptors("regionprops", descriptor_tables(study, folder)[0]), props)
    return learned, props


def both(*parts: Path) -> Representation:
    return Representation("both", Concatenation(["ae", "props"], parts, "fold-0"))


def test_concatenated_vectors_lie_side_by_side_for_the_rows_that_all_parts_have(
    study: StudyOnDisk, tmp_path: Path
) -> None:
    learned, props = joined(study, tmp_path)
    # Whatever order the files come in, the vector has that of the study.
    result = run(study, both(props, learned), tmp_path / "both.parquet")
    ae, rp = (pd.read_parquet(path).set_index("Metadata_id") for path in (learned, props))
    assert result["Metadata_id"].tolist() == [row["id"] for row in study.rows[::2]]
    rows = result["Metadata_id"]
    expected = np.hstack([ae.loc[rows].filter(like="ae_"), rp.loc[rows].filter(like="props_")])
    assert np.array_equal(result.filter(like="both_").to_numpy(), expected)
    assert result["Metadata_role"].tolist() == ae.loc[rows, "Metadata_role"].tolist()
    assert np.allclose(result["Metadata_scale"], ae.loc[rows, "Metadata_scale"], atol=1e-6)
    found = facts(tmp_path / "both.parquet")
    assert found["parts"] == [["ae", 8], ["props", 2]]
    assert found["features"][:2] + found["features"][-2:] == ["ae_0000", "ae_0001", "props_0000", "props_0001"]
    assert (found["rows"], found["missing"], found["seen_test_groups"]) == (12, 12, False)
    assert read_embedding(tmp_path / "both.parquet", "both").parts == (8, 2)
    assert read_embedding(learned, "ae").parts == (8,)


def test_the_whole_states_that_a_part_has_seen_the_test_groups(study: StudyOnDisk, tmp_path: Path) -> None:
    learned, props = joined(study, tmp_path)
    table = pq.read_table(learned)
    stated = facts(learned) | {"seen_test_groups": True}
    pq.write_table(table.replace_schema_metadata({b"phenoloom": json.dumps(stated)}), learned)
    result = run(study, both(learned, props), tmp_path / "both.parquet")
    assert facts(tmp_path / "both.parquet")["seen_test_groups"] is True
    assert set(result["Metadata_role"]) == {"all"}


def test_a_missing_or_foreign_part_is_refused(study: StudyOnDisk, tmp_path: Path) -> None:
    learned, props = joined(study, tmp_path)
    for parts in ([learned], [learned, props, props], [learned, tmp_path / "efd" / "all.parquet"]):
        with pytest.raises(PhenoloomError, match="Tables of ae, props are to be concatenated"):
            run(study, both(*parts), tmp_path / "both.parquet")
