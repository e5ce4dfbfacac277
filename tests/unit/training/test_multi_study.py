from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.helpers.studies import StudyOnDisk, embed_settings, image_settings, shape_settings

from phenoloom.config.hardware import Hardware
from phenoloom.config.rule_settings import Mixture, PretrainSettings
from phenoloom.config.training import Collapse, RunOptions
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.mixed_source import MixedSource
from phenoloom.embedding.embed import embed
from phenoloom.embedding.table import seen_test_groups
from phenoloom.models.checkpoint import read_card
from phenoloom.training import module as training
from phenoloom.training.batches import preparation
from phenoloom.training.dataset import Material
from phenoloom.training.module import Pretraining
from phenoloom.training.multi_study import SAME_GROUP, SAME_IMAGE, Other, gather_mixture, staged_studies
from phenoloom.training.pretrain import pretrain

OUTPUTS = ("model.safetensors", "metrics.csv", "model.yaml", "reconstructions.npz")
NAMES = {"names": ["DNA", "actin", "ER"], "aliases": {"nucleus": "DNA"}}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    return StudyOnDisk(tmp_path_factory.mktemp("toy"), wells=8, per_well=4)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    """Three channels, one of which goes by another name, of other tiles and another camera."""
    channels = ("ER", "nucleus", "actin")
    folder = tmp_path_factory.mktemp("other")
    return StudyOnDisk(folder, wells=4, per_well=3, size=48, channels=channels, plate="Q", dtype="uint8", seed=5)


def read(study: StudyOnDisk, name: str = "other", view: str = "tiles") -> Other:
    return Other(name, study.index, study.folds, tuple(study.tiles if view == "tiles" else study.shapes))


def mixed(studies: list[str] | None = None, keep: bool = False, make: Any = image_settings, **changes: Any) -> Any:
    if make is image_settings:
        changes.setdefault("channels", NAMES)
    split = changes.pop("split", "fold-0")
    settings: PretrainSettings = make(split, **changes)
    mixture = Mixture(studies=studies or ["other", "toy"], shared_groups="keep" if keep else "drop")
    return settings.model_copy(update={"mixture": mixture})


def gathered(settings: PretrainSettings, toy: StudyOnDisk, *others: Other) -> Material:
    stores = toy.tiles if settings.model.view == "tiles" else toy.shapes
    return gather_mixture(settings, toy.index, toy.folds, stores, others)


def soiled(study: StudyOnDisk, folder: Path, change: Any) -> Other:
    """The study with another index."""
    table = pq.read_table(study.index).to_pandas()
    change(table)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "index.parquet")
    return Other("other", folder / "index.parquet", study.folds, tuple(study.tiles))


def test_items_of_all_studies_are_read_as_they_are_in_their_stores(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    material = gathered(mixed(), toy, read(other))
    view = material.view
    assert isinstance(view, MixedSource)
    assert view.item == (3 * 48 * 48 + (-3 * 48 * 48) % 16,)
    rows = np.random.default_rng(0).permutation(len(view))
    out = np.empty((len(rows), *view.item), np.uint8)
    view.read(rows, out)
    for place, row in enumerate(rows):
        number = int(view.study_of(rows[place : place + 1])[0])
        part = view.views[number]
        expected = np.empty((1, *part.item), part.dtype)
        part.read(np.array([row - view.starts[number]]), expected)
        found = material.intakes[number].items(torch.from_numpy(out[place : place + 1]))
        assert np.array_equal(found.numpy(), expected)


def test_channels_reach_their_inputs_by_name_and_absent_ones_are_zero(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    settings = mixed()
    material = gathered(settings, toy, read(other))
    assert material.inputs == ["DNA", "actin", "ER"]
    prepare = preparation(settings.model, material, makes_views=False)
    rows = np.array([len(material.view) - 1, 0, len(material.view) - 2])
    out = np.empty((3, *material.view.item), np.uint8)
    material.view.read(rows, out)
    inputs = prepare(torch.from_numpy(out), None, rows)
    assert inputs.shape == (3, 3, 32, 32)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    foreign, own = material.intakes
    assert foreign.placement is not None
    assert foreign.normaliser is not None
    assert foreign.placement.sources == (1, 2, 0)
    assert own.placement is not None
    assert own.placement.sources == (0, 1, -1)
    assert (inputs[[0, 2], 2] == 0).all()
    tile = foreign.normaliser(foreign.items(torch.from_numpy(out[1:2])))
    assert torch.equal(inputs[1], tile[0, [1, 2, 0]])


def test_augmentation_leaves_absent_channels_as_they_are(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    settings = mixed(augment={"offset": 1.0, "noise": 1.0, "drop_channel": 0.9})
    material = gathered(settings, toy, read(other))
    prepare = preparation(settings.model, material, makes_views=False)
    rows = np.arange(len(material.view) - 8, len(material.view))
    out = np.empty((8, *material.view.item), np.uint8)
    material.view.read(rows, out)
    inputs = prepare(torch.from_numpy(out), torch.Generator().manual_seed(0), rows)
    assert (inputs[:, 2] == 0).all()
    # One of the channels that are there always stays.
    assert (inputs[:, :2].abs().sum((1, 2, 3)) > 0).all()


def test_one_by_one_every_study_gives_as_many_channels_of_a_tile(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    settings = mixed(channels={"mode": "separate"})
    material = gathered(settings, toy, read(other))
    foreign, own = material.intakes
    assert (foreign.drawn, own.drawn) == (2, 2)
    rows = np.arange(6)
    tiles = torch.arange(18).reshape(6, 3, 1, 1).expand(-1, -1, 2, 2)
    held = foreign.choose(tiles, rows, None)
    assert held[:, :, 0, 0].tolist() == [[0, 1], [4, 5], [8, 6], [9, 10], [13, 14], [17, 15]]
    drawn = foreign.choose(tiles, rows, torch.Generator().manual_seed(0))[:, :, 0, 0]
    assert (drawn // 3 == torch.arange(6)[:, None]).all()
    assert (drawn[:, 0] < drawn[:, 1]).all()
    assert own.choose(tiles[:, :2], rows, None).shape[1] == 2


def test_studies_of_other_channels_need_a_declared_set(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    with pytest.raises(PhenoloomError, match="other has ER, nucleus, actin and toy has DNA, actin; name the set"):
        gathered(mixed(channels={}), toy, read(other))
    with pytest.raises(PhenoloomError, match=r"channels of other are ER, nucleus, actin: without a place: ER, nucleus"):
        gathered(mixed(channels={"names": ["DNA", "actin"]}), toy, read(other))
    with pytest.raises(PhenoloomError, match="fill` is repeat:ER, and toy has no such channel"):
        gathered(mixed(channels={**NAMES, "fill": "repeat:ER"}), toy, read(other))
    placed = {"mode": "map", "inputs": 2, "map": {"DNA": 0, "actin": 1}, "drop": ["ER", "nucleus"]}
    material = gathered(mixed(channels=placed), toy, read(other))
    assert [intake.placement and intake.placement.sources for intake in material.intakes] == [(-1, 2), (0, 1)]


def test_test_groups_of_the_study_are_never_seen_and_other_studies_wholly(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    material = gathered(mixed(), toy, read(other))
    own = material.table[material.table["study"] == "toy"]
    assert not set(own["well"]) & {"W00", "W04"}
    assert (material.table["study"] == "other").sum() == 12
    assert set(material.train).isdisjoint(material.validation)
    assert set(material.table["study"].iloc[material.validation]) == {"toy", "other"}
    # What is called alike in two studies need not be the same: monitors know the study's own labels only.
    assert material.table["label"][material.table["study"] == "other"].isna().all()


def test_a_copy_of_a_test_image_in_another_study_is_taken_out_with_its_group(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    def copied(table: pd.DataFrame) -> None:
        # Well 0 of the toy study is tested in fold 0; one tile of W02 is a copy of its image.
        table.loc[table.index[table["well"] == "W02"][1], "digest"] = "P-0-0"
        # A copy of an image that may be trained on stays.
        table.loc[table["well"] == "W03", "digest"] = "P-0-1"

    foreign = soiled(other, tmp_path, copied)
    material = gathered(mixed(), toy, foreign)
    part = material.studies[0]
    assert (part.name, dict(part.taken_out)) == ("other", {SAME_GROUP: 0, SAME_IMAGE: 3})
    assert set(material.table["well"][material.table["study"] == "other"]) == {"W00", "W01", "W03"}
    # Another fold tests another well.
    assert gathered(mixed(split="fold-1"), toy, foreign).studies[0].taken_out[SAME_IMAGE] == 3
    assert gathered(mixed(split="fold-2"), toy, foreign).studies[0].taken_out[SAME_IMAGE] == 0


def test_groups_called_like_a_test_group_are_taken_out_unless_names_mean_nothing(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    foreign = soiled(other, tmp_path, lambda table: table.__setitem__("plate", "P"))
    material = gathered(mixed(), toy, foreign)
    assert dict(material.studies[0].taken_out) == {SAME_GROUP: 3, SAME_IMAGE: 0}
    assert "W00" not in set(material.table["well"][material.table["study"] == "other"])
    assert sum(gathered(mixed(keep=True), toy, foreign).studies[0].taken_out.values()) == 0


def test_an_encoder_of_other_studies_only_must_know_none_of_the_study(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    foreign = soiled(other, tmp_path, lambda table: table.__setitem__("plate", "P"))
    with pytest.raises(PhenoloomError, match="12 rows in a group called like a test group; where groups"):
        gathered(mixed(["other"], split="all"), toy, foreign)
    material = gathered(mixed(["other"], split="all"), toy, read(other))
    assert set(material.table["study"]) == {"other"}
    assert list(material.fold_normalisers) == ["fold-0", "fold-1", "fold-2", "fold-3"]
    # The statistics of a fold are those of its train groups, so that no test pixel has a say in them.
    wells = [row for row in toy.rows if row["well"] not in ("W01", "W05")]
    mean = np.mean([row["channel_mean"] for row in wells], axis=0)
    assert np.allclose(material.fold_normalisers["fold-1"].mean, mean)


def test_other_studies_than_those_of_the_settings_are_refused(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    with pytest.raises(PhenoloomError, match="trained on other, toy, so `--also` must give other, found none"):
        gathered(mixed(), toy)
    with pytest.raises(PhenoloomError, match="rests on what one study says"):
        gathered(mixed(contrast={"pairs": "labels"}), toy, read(other))


def train(settings: PretrainSettings, toy: StudyOnDisk, foreign: Other, output: Path, threads: int = 1) -> Any:
    # So few epochs are too few for a codebook to be in use.
    options = RunOptions(collapse=Collapse(least_information=0))
    pretrain(settings, toy.index, toy.folds, toy.tiles, output, Hardware(threads=threads), options, others=[foreign])
    return {name: (output / name).read_bytes() for name in OUTPUTS}


def test_two_runs_give_the_same_bytes_and_the_card_says_what_was_seen(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    settings = mixed(training={"balance": {"weights": {"toy": 3}}})
    first = train(settings, toy, read(other), tmp_path / "a")
    assert train(settings, toy, read(other), tmp_path / "b", threads=3) == first
    card = read_card(tmp_path / "a")
    assert card.inputs == ["DNA", "actin", "ER"]
    assert card.channels == ["DNA", "actin"]
    assert card.studies is not None
    foreign, own = card.studies
    assert (foreign.study, foreign.share, foreign.channels) == ("other", 0.25, ["ER", "nucleus", "actin"])
    assert (own.study, own.share, own.pixel_size_um) == ("toy", 0.75, 0.5)
    assert card.trained_here
    assert card.mean == own.statistics.mean if own.statistics else False
    # 20 + 9 train rows and the same number of items an epoch.
    assert (card.train_rows, card.validation_rows) == (29, 7)


@pytest.mark.parametrize("channels", [NAMES, {"mode": "separate"}], ids=["joint", "separate"])
def test_the_study_is_embedded_by_its_own_statistics_and_channels(
    channels: dict[str, Any], toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    train(mixed(channels=channels), toy, read(other), folder)
    output = tmp_path / "embeddings" / "m.parquet"
    settings = embed_settings("m", split="fold-0", model_name="mixed")
    embed(settings, toy.index, toy.folds, toy.tiles, [], folder, output, 1)
    table = pq.read_table(output)
    assert sum(name.startswith("m_") for name in table.column_names) == (16 if channels is NAMES else 32)
    assert set(table["Metadata_role"].to_pylist()) == {"train", "test"}


def test_one_encoder_of_another_study_serves_all_folds_and_has_seen_none(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    train(mixed(["other"], split="all"), toy, read(other), folder)
    vectors = {}
    for split in ("fold-0", "fold-1"):
        output = tmp_path / "embeddings" / f"{split}.parquet"
        embed(embed_settings("m", split=split, model_name="o"), toy.index, toy.folds, toy.tiles, [], folder, output, 1)
        assert not seen_test_groups(output)
        table = pq.read_table(output).to_pandas()
        wells = {"fold-0": {"W00", "W04"}, "fold-1": {"W01", "W05"}}[split]
        assert set(table.loc[table["Metadata_role"] == "test", "Metadata_well"]) == wells
        vectors[split] = table.filter(like="m_").to_numpy()
    # The same network, by the statistics of other wells.
    assert not np.array_equal(vectors["fold-0"], vectors["fold-1"])
    assert np.allclose(vectors["fold-0"], vectors["fold-1"], atol=0.5)


def test_contours_of_several_studies_train_one_model(toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path) -> None:
    settings = mixed(make=shape_settings)
    foreign = read(other, view="shapes")
    pretrain(settings, toy.index, toy.folds, toy.shapes, tmp_path / "m", others=[foreign])
    card = read_card(tmp_path / "m")
    assert (card.points, card.train_rows) == (32, 29)
    embed(
        embed_settings("m", split="fold-0", model_name="o", view="shapes"),
        toy.index,
        toy.folds,
        toy.shapes,
        [],
        tmp_path / "m",
        tmp_path / "e.parquet",
        1,
    )
    assert pq.read_table(tmp_path / "e.parquet").num_rows == 32


class Killed(BaseException):
    """What kill -9 leaves behind: whatever was on disk at that moment."""


@pytest.mark.parametrize("after", [2, 6])
def test_a_killed_run_continues_to_the_same_bits(
    after: int, toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = mixed(channels={"mode": "separate"}, augment={"noise": 0.1})
    whole = train(settings, toy, read(other), tmp_path / "whole")
    original, calls = Pretraining.training_step, 0

    def dying(self: Pretraining, *arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", dying)
        with pytest.raises(Killed):
            train(settings, toy, read(other), tmp_path / "killed")
    assert train(settings, toy, read(other), tmp_path / "killed") == whole


def test_shards_of_several_studies_are_staged_beside_each_other(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    with staged_studies(toy.tiles, [read(other)], tmp_path) as (own, (foreign,)):
        assert len({*own, *foreign.stores}) == 4
        assert all(path.is_relative_to(tmp_path) for path in (*own, *foreign.stores))
        assert [p.read_bytes() for p in own] == [p.read_bytes() for p in toy.tiles]
        assert [p.read_bytes() for p in foreign.stores] == [p.read_bytes() for p in other.tiles]
    told = ["other", str(other.index), str(other.folds), str(other.tiles[0].parent)]
    assert Other.parse(told) == read(other)
