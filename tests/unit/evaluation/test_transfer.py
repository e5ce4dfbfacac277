"""Encoders and probes of one study on another: closed forms on synthetic vectors, and what is left out."""

from __future__ import annotations

import json
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
from torch.utils._python_dispatch import TorchDispatchMode

from phenoloom.config.study import Classify
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.sources import TileSource
from phenoloom.embedding.embed import embed
from phenoloom.embedding.representation import Concatenation, Descriptors, Encoder, Guest, Representation
from phenoloom.embedding.table import read_embedding
from phenoloom.evaluation.cross_validation import Evaluation
from phenoloom.evaluation.scores import read_scores
from phenoloom.evaluation.transfer import StudyTables, transfer
from phenoloom.models.checkpoint import load_objective, read_card
from phenoloom.splits.split import Split
from phenoloom.training.pretrain import pretrain

FOLDS = 2


class Made:
    """A study of units in groups of two with given labels and vectors; `fold` of a group is its number modulo two."""

    def __init__(self, folder: Path, labels: list[Any], vectors: Any, **changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.prefix = folder, changes.pop("prefix", folder.name)
        self.ids = [f"{self.prefix}{number:03d}" for number in range(len(labels))]
        self.groups = [f"{self.prefix}-{number // 2:02d}" for number in range(len(labels))]
        self.labels, self.vectors = labels, np.asarray(vectors, np.float32).reshape(len(labels), -1)
        self.digests = changes.pop("digests", [f"{folder.name}-{unit}" for unit in self.ids])
        self.changes = changes

    def tables(self, roles: str = "all", vectors: list[np.ndarray] | None = None) -> StudyTables:
        """Written to disk: one table of vectors, or one a fold where `vectors` has some."""
        multi = any(isinstance(label, list) for label in self.labels)
        dropped = self.changes.get("dropped", {})
        out = [label is None or label in dropped for label in self.labels] if not multi else [False] * len(self.ids)
        fold = [-1 if left else number // 2 % FOLDS for number, left in enumerate(out)]
        kept = [label for label, left in zip(self.labels, out, strict=True) if not left]
        names = [name for label in kept for name in (label if multi else [label])]
        facts = {
            "unit": "object",
            "group": self.changes.get("group", "image"),
            "count": FOLDS,
            "multi_label": multi,
            "classes": {name: names.count(name) for name in sorted(set(names))},
            "dropped": dropped,
            "unlabelled": self.labels.count(None),
        }
        table = pa.table(
            {
                "id": self.ids,
                "group": self.groups,
                "label": pa.array(self.labels, pa.list_(pa.string()) if multi else pa.string()),
                "fold": pa.array(fold, pa.int16()),
            }
        )
        folds, index = self.folder / "folds.parquet", self.folder / "index.parquet"
        pq.write_table(table.replace_schema_metadata({b"phenoloom": json.dumps(facts)}), folds)
        none = pa.nulls(len(self.ids), pa.string())
        rows = {"id": self.ids, "image_id": self.ids, "plate": none, "well": none, "digest": self.digests}
        pq.write_table(pa.table(rows), index)
        files = []
        for number, values in enumerate(vectors or [self.vectors]):
            stem = f"fold-{number}" if vectors else "all"
            files.append(self.folder / f"{stem}.parquet")
            role = ["test" if one == number else "train" for one in fold] if roles == "of folds" else roles
            self._write(files[-1], values, role)
        return StudyTables(self.folder.name, index, folds, files)

    def _write(self, path: Path, vectors: np.ndarray, role: str | list[str]) -> None:
        none = pa.nulls(len(self.ids), pa.string())
        roles = [role] * len(self.ids) if isinstance(role, str) else role
        columns = {"Metadata_id": self.ids, "Metadata_image": self.ids, "Metadata_role": roles}
        columns |= {"Metadata_plate": none, "Metadata_well": none}
        if "scale" in self.changes:
            columns["Metadata_scale"] = pa.array(self.changes["scale"], pa.float32())
        columns |= {f"rep_{place:04d}": column for place, column in enumerate(np.asarray(vectors, np.float32).T)}
        pq.write_table(pa.table(columns), path)


def evaluation(**changes: Any) -> Evaluation:
    section = {"probes": ["dummy", "logistic"], "shuffled_labels": False, "forest_trees": 5} | changes
    return Evaluation("rep", Classify(**section), FOLDS, seed=0)


def scores(source: StudyTables, target: StudyTables, **changes: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    output = source.index.parent.parent / "scores.parquet"
    transfer(evaluation(**changes), source, target, output, made_by("there"), 2)
    return read_scores(output)


def values(table: pd.DataFrame, metric: str, probe: str = "logistic", label: str = "") -> list[float]:
    wanted = (table["metric"] == metric) & (table["probe"] == probe) & (table["class"] == label)
    found: list[float] = table[wanted].sort_values("fold")["value"].tolist()
    return found


def confusion(table: pd.DataFrame, fold: int = 0) -> dict[tuple[str, str], int]:
    wanted = (table["metric"] == "confusion") & (table["probe"] == "logistic") & (table["fold"] == fold)
    rows = table[wanted]
    return {(row["class"], row["predicted"]): int(row["value"]) for _, row in rows.iterrows()}


LINE = np.linspace(-10, 10, 40)
LABELS = ["high" if value > 0 else "low" for value in LINE]
MIXED = np.argsort(np.arange(40) * 7 % 40)
"""An order in which both classes are in every fold."""


def source_of(folder: Path, **changes: Any) -> Made:
    """The label is whether the one feature is above 0."""
    return Made(folder / "here", [LABELS[place] for place in MIXED], LINE[MIXED], **changes)


def target_of(folder: Path, shift: float, **changes: Any) -> Made:
    """The same, of a feature that is `shift` higher here at the same label."""
    return Made(folder / "there", [LABELS[place] for place in MIXED], LINE[MIXED] + shift, **changes)


@pytest.mark.parametrize(("shift", "wrong"), [(0.0, 0), (4.1, 8), (30.0, 20)])
def test_a_threshold_of_the_source_errs_by_as_much_as_the_target_has_shifted(
    tmp_path: Path, shift: float, wrong: int
) -> None:
    table, _ = scores(source_of(tmp_path).tables(), target_of(tmp_path, shift).tables())
    expected = {("high", "high"): 20, ("low", "high"): wrong, ("low", "low"): 20 - wrong}
    for fold in range(FOLDS):
        assert confusion(table, fold) == {cell: units for cell, units in expected.items() if units}
    assert values(table, "balanced_accuracy") == pytest.approx([1 - wrong / 40] * FOLDS)
    assert values(table, "macro_f1", "dummy") == pytest.approx([1 / 3] * FOLDS)
    assert values(table, "units_train") == [20, 20]
    assert values(table, "units_test") == [40, 40]
    assert set(table["study"]) == {"there"}


def test_outliers_among_the_other_units_of_the_target_change_no_prediction(tmp_path: Path) -> None:
    probes = ["knn", "logistic", "forest"]
    rng = np.random.default_rng(0)
    source, target = source_of(tmp_path), target_of(tmp_path, 0.0)
    source.vectors = np.hstack([source.vectors, rng.normal(size=(40, 59))]).astype(np.float32)
    target.vectors = np.hstack([target.vectors, rng.normal(size=(40, 59))]).astype(np.float32)
    plain, _ = scores(source.tables(), target.tables(), probes=probes)
    more = Made(tmp_path / "there", target.labels + ["high"] * 30, np.vstack([target.vectors, np.full((30, 60), 1e5)]))
    soiled, _ = scores(source.tables(), more.tables(), probes=probes)
    for probe in probes:
        before, after = (
            table[(table["metric"] == "confusion") & (table["probe"] == probe)].set_index(
                ["fold", "class", "predicted"]
            )
            for table in (plain, soiled)
        )
        low = [key for key in before.index if key[1] == "low"]
        assert low
        assert before.loc[low, "value"].tolist() == after.loc[low, "value"].tolist()
        added = after["value"].sub(before["value"], fill_value=0).groupby("fold").sum()
        assert added.tolist() == [30, 30]


def test_a_class_of_one_study_only_is_left_out_on_both_sides_and_counted(tmp_path: Path) -> None:
    source, target = source_of(tmp_path), target_of(tmp_path, 0.0)
    plain, _ = scores(source.tables(), target.tables())
    # Were they fitted or tested, these would spoil every score.
    labels, far = ["elsewhere"] * 6, np.zeros((6, 1))
    source = Made(tmp_path / "here", source.labels + labels, np.vstack([source.vectors, far]))
    here = Made(
        tmp_path / "there",
        target.labels + ["nowhere"] * 4 + ["rare"] * 2 + [None],
        np.vstack([target.vectors, np.zeros((7, 1))]),
        dropped={"rare": 2},
    )
    table, facts = scores(source.tables(), here.tables())
    assert table[table["metric"] != "groups_test"].equals(plain[plain["metric"] != "groups_test"])
    assert facts["left_out"] == {"elsewhere": [6, 0], "nowhere": [0, 4], "rare": [0, 2]}
    assert facts["classes"] == {"high": [20, 20], "low": [20, 20]}
    assert facts["unlabelled"] == 1


def test_copies_of_images_of_the_source_are_left_out_with_their_groups_and_counted(tmp_path: Path) -> None:
    source, target = source_of(tmp_path), target_of(tmp_path, 0.0)
    target.digests = [source.digests[3], *target.digests[1:8], source.digests[0], "", *target.digests[10:]]
    source.digests[-1] = ""
    table, facts = scores(source.tables(), target.tables())
    # The second unit of each group has a picture of its own.
    assert facts["copies"] == 4
    assert values(table, "units_test") == [36, 36]
    assert sum(here for _, here in facts["classes"].values()) == 36


def test_a_target_of_copies_alone_is_refused(tmp_path: Path) -> None:
    source, target = source_of(tmp_path), target_of(tmp_path, 0.0)
    target.digests = list(source.digests)
    with pytest.raises(PhenoloomError, match=r"No unit of there is left .* image that the other study has"):
        scores(source.tables(), target.tables())


def test_units_without_a_vector_are_counted_and_groups_of_one_name_are_counted(tmp_path: Path) -> None:
    source, target = source_of(tmp_path, group="group", prefix="p"), target_of(tmp_path, 0.0, group="group", prefix="p")
    tables = target.tables()
    pq.write_table(pq.read_table(tables.embeddings[0]).slice(0, 37), tables.embeddings[0])
    table, facts = scores(source.tables(), tables)
    assert values(table, "units_missing") == [3, 3]
    assert values(table, "units_test") == [37, 37]
    assert facts["groups_alike"] == 20
    assert scores(source.tables(), target_of(tmp_path, 0.0, prefix="p").tables())[1]["groups_alike"] == 0


def test_each_fold_takes_the_vectors_of_its_own_encoder_on_both_sides(tmp_path: Path) -> None:
    source, target = source_of(tmp_path), target_of(tmp_path, 0.0)
    here = source.tables("of folds", [source.vectors, -source.vectors])
    there = target.tables("new", [target.vectors, -target.vectors])
    table, _ = scores(here, there)
    assert values(table, "macro_f1") == [1, 1]
    turned, _ = scores(here, replace(there, embeddings=_renamed(there.embeddings)))
    assert values(turned, "balanced_accuracy") == [0, 0]


def _renamed(files: list[Path]) -> list[Path]:
    """The tables of two folds in each other's place."""
    contents = [path.read_bytes() for path in files]
    for path, content in zip(files, reversed(contents), strict=True):
        path.write_bytes(content)
    return files


def test_labels_of_the_source_that_are_shuffled_between_its_groups_score_at_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = [str(rng.choice(["high", "low"])) for _ in range(60) for _ in range(2)]
    cloud = np.where(np.array(labels) == "high", 3.0, -3.0)[:, None] * np.eye(1, 8) + rng.normal(size=(120, 8))
    source, target = Made(tmp_path / "here", labels, cloud), Made(tmp_path / "there", labels, cloud + 0.01)
    table, _ = scores(source.tables(), target.tables(), shuffled_labels=True)
    assert min(values(table, "balanced_accuracy")) > 0.95
    assert np.mean(values(table, "balanced_accuracy", "logistic-shuffled")) == pytest.approx(0.5, abs=0.2)


def test_sizes_of_outlines_are_a_feature_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source, target = source_of(tmp_path, scale=LINE[MIXED]), target_of(tmp_path, 0.0, scale=LINE[MIXED])
    source.vectors, target.vectors = (rng.normal(size=(40, 2)).astype(np.float32) for _ in range(2))
    table, _ = scores(source.tables(), target.tables())
    assert min(values(table, "macro_f1", "logistic+scale")) > 0.9 > 0.75 > max(values(table, "macro_f1"))


def test_several_labels_a_unit_are_scored_by_those_that_both_studies_have(tmp_path: Path) -> None:
    labels = [[label, "both", "only"] if place % 3 else [label] for place, label in enumerate(LABELS)]
    there = [[name for name in label if name != "only"] for label in labels]
    vectors = np.column_stack([LINE, np.arange(40) % 3 > 0])
    source = Made(tmp_path / "here", [labels[place] for place in MIXED], vectors[MIXED])
    target = Made(tmp_path / "there", [there[place] for place in MIXED], vectors[MIXED])
    table, facts = scores(source.tables(), target.tables())
    assert set(table["class"]) == {"", "both", "high", "low"}
    assert values(table, "f1", label="both") == [1, 1]
    assert facts["left_out"] == {"only": [26, 0]}
    with pytest.raises(PhenoloomError, match="Only here has several labels a unit"):
        scores(source.tables(), target_of(tmp_path, 0.0).tables())


def test_studies_without_two_common_classes_are_refused(tmp_path: Path) -> None:
    target = target_of(tmp_path, 0.0)
    target.labels = [label.replace("low", "little") for label in target.labels]
    with pytest.raises(
        PhenoloomError, match=r"two classes that both have: there are high, low in here and high, littl"
    ):
        scores(source_of(tmp_path).tables(), target.tables())


def test_vectors_of_an_encoder_that_has_seen_the_target_are_refused(tmp_path: Path) -> None:
    source, target = source_of(tmp_path), target_of(tmp_path, 0.0)
    here = source.tables("of folds", [source.vectors] * 2)
    with pytest.raises(PhenoloomError, match="trained for this study, expected those of the study that is tested"):
        scores(here, target.tables("of folds", [target.vectors] * 2))
    there = target.tables("all")
    table = pq.read_table(there.embeddings[0])
    facts = {b"phenoloom": json.dumps({"seen_test_groups": True})}
    pq.write_table(table.replace_schema_metadata(facts), there.embeddings[0])
    with pytest.raises(PhenoloomError, match="trained for this study"):
        scores(here, there)
    there = target.tables("new", [target.vectors] * 2)
    with pytest.raises(PhenoloomError, match="encoder and folds do not belong together"):
        scores(replace(here, embeddings=_renamed(here.embeddings)), there)


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    target = target_of(tmp_path, 0.0)
    target.vectors = np.hstack([target.vectors] * 2)
    with pytest.raises(
        PhenoloomError, match=r"here/all.parquet has vectors of 1 features and .*there/all.parquet of 2;"
    ):
        scores(source_of(tmp_path).tables(), target.tables())


def test_a_split_of_some_classes_keeps_their_codes_in_order(tmp_path: Path) -> None:
    split = Split.read(Made(tmp_path / "here", list("abcab") * 2, np.zeros(10)).tables().folds)
    few = split.among(["c", "a"])
    assert [few.classes[code] for code in few.targets] == ["a", "c", "a"] * 2
    assert few.support() == {"c": 2, "a": 4}
    assert few.units.tolist() == ["here000", "here002", "here003", "here005", "here007", "here008"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    return StudyOnDisk(tmp_path_factory.mktemp("toy"), wells=6, per_well=3, folds=3)


@pytest.fixture(scope="module")
def model(toy: StudyOnDisk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for the third fold of the toy study, which the guest does not have."""
    folder = tmp_path_factory.mktemp("model")
    channels = {"names": ["DNA", "actin"], "aliases": {"nucleus": "DNA"}}
    settings = image_settings("fold-2", training={"epochs": 1}, channels=channels)
    pretrain(task_of(settings), [toy.input()], folder)
    return folder


def guest(folder: Path, channels: tuple[str, ...], **changes: Any) -> StudyOnDisk:
    return StudyOnDisk(folder, wells=4, per_well=2, folds=2, plate="Q", size=48, channels=channels, seed=3, **changes)


class NoUnsignedPicking(TorchDispatchMode):
    """Refuses what torch has no kernel for on a GPU: picking from unsigned integers of more than 8 bits."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        picks = func in {
            torch.ops.aten.index.Tensor,
            torch.ops.aten.index_select.default,
            torch.ops.aten.gather.default,
        }
        if picks and args[0].dtype in {torch.uint16, torch.uint32}:
            raise NotImplementedError(f"{func} not implemented for {args[0].dtype}")
        return func(*args, **(kwargs or {}))


def carried(study: StudyOnDisk, model: Path, output: Path, source: str = "toy", **changes: Any) -> np.ndarray:
    """Vectors of the rows of a guest by a model of another study."""
    view = changes.pop("view", "tiles")
    encoder = replace(Encoder(model, "fold-2", guest=Guest("guest", source)), **changes)
    with NoUnsignedPicking():
        embed(Representation("rep", encoder), study.input(view, "guest"), output, made_by("guest"), 1)
    return read_embedding(output, "rep").vectors


@pytest.mark.parametrize("channels", [("DNA", "actin"), ("actin", "nucleus")])
def test_an_encoder_of_another_study_sees_its_own_channels_by_its_own_statistics(
    model: Path, tmp_path: Path, channels: tuple[str, ...]
) -> None:
    study = guest(tmp_path / "guest", channels)
    found = carried(study, model, tmp_path / "fold-2.parquet")
    rows = read_embedding(tmp_path / "fold-2.parquet", "rep").rows
    assert set(rows["role"]) == {"new"}
    assert set(rows["study"]) == {"guest"}
    assert rows["group"].tolist() == [f"Q/{row['well']}" for row in study.rows]
    assert not read_embedding(tmp_path / "fold-2.parquet", "rep").seen_test_groups
    card = read_card(model)
    view = TileSource(pd.DataFrame(study.rows), study.tiles)
    tiles = np.empty((len(view), *view.item), view.dtype)
    view.read(np.arange(len(view)), tiles)
    order = [channels.index(name) for name in (("DNA", "actin") if "DNA" in channels else ("nucleus", "actin"))]
    inputs = card.normaliser("fold-2")(torch.from_numpy(np.ascontiguousarray(tiles[:, order])))
    with torch.inference_mode():
        expected = load_objective(model, card).embed(inputs).numpy()
    assert np.allclose(found, expected, atol=1e-5)
    untrained = carried(study, model, tmp_path / "fold-2.parquet", untrained=True)
    assert not np.allclose(untrained, found, atol=1e-3)


def test_channels_pixels_and_encoders_that_do_not_fit_are_refused(model: Path, tmp_path: Path) -> None:
    other = guest(tmp_path / "other", ("DNA", "ER"))
    with pytest.raises(PhenoloomError, match=r"trained on channels DNA, actin, and guest has DNA, ER; name them alike"):
        carried(other, model, tmp_path / "x.parquet")
    bytes_ = guest(tmp_path / "bytes", ("DNA", "actin"), dtype="uint8")
    with pytest.raises(PhenoloomError, match="trained on pixels of type uint16, and guest has uint8"):
        carried(bytes_, model, tmp_path / "x.parquet")
    with pytest.raises(PhenoloomError, match="was trained for study toy, expected elsewhere"):
        carried(other, model, tmp_path / "x.parquet", source="elsewhere")
    with pytest.raises(PhenoloomError, match="was trained for split fold-2, expected fold-0"):
        carried(other, model, tmp_path / "x.parquet", split="fold-0")


def test_what_is_concatenated_of_another_studys_encoder_is_new_too_and_no_space_of_shapes_is_drawn(
    toy: StudyOnDisk, tmp_path: Path
) -> None:
    pretrain(task_of(shape_settings("fold-2", training={"epochs": 1})), [toy.input("shapes")], tmp_path / "m")
    study = guest(tmp_path / "guest", ("DNA", "actin"))
    part = tmp_path / "rep" / "fold-2.parquet"
    shapes = carried(study, tmp_path / "m", part, view="shapes")
    assert not list(part.parent.glob("*.npz"))
    descriptors = tmp_path / "intensity" / "all.parquet"
    intensity = Representation("intensity", Descriptors("intensity"))
    embed(intensity, study.input(name="guest"), descriptors, made_by("guest"), 1)
    both = Representation("both", Concatenation(["rep", "intensity"], [part, descriptors], "fold-2", new=True))
    output = tmp_path / "both" / "fold-2.parquet"
    embed(both, study.input(name="guest"), output, made_by("guest"), 1)
    found = read_embedding(output, "both")
    assert set(found.rows["role"]) == {"new"}
    assert found.parts == (8, 4)
    assert np.array_equal(found.vectors[:, :8], shapes)


@pytest.mark.parametrize("which", [0, 1])
def test_where_one_of_the_studies_cannot_be_scored_the_table_has_no_rows_and_names_it(
    tmp_path: Path, which: int
) -> None:
    source, target = source_of(tmp_path).tables(), target_of(tmp_path, 0).tables()
    folds = (source, target)[which].folds
    table = pq.read_table(folds)
    facts = json.loads(table.schema.metadata[b"phenoloom"]) | {"unscored": "no object has a label", "classes": {}}
    pq.write_table(table.replace_schema_metadata({b"phenoloom": json.dumps(facts)}), folds)
    rows, stated = scores(source, target)
    assert rows.empty
    assert stated["unscored"] == f"in {('here', 'there')[which]} no object has a label"
