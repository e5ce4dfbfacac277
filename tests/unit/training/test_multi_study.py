from __future__ import annotations

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
from tests.helpers.training import Killed, kill_after, task_of, train

from phenoloom.config.representation import Mixture
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.training import Collapse, RunOptions
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.channels import draw_channels
from phenoloom.data.domain import domain_of
from phenoloom.data.mixed_source import MixedSource
from phenoloom.data.study_input import StudyInput, staged_studies
from phenoloom.embedding.embed import embed
from phenoloom.embedding.representation import Encoder, Representation
from phenoloom.embedding.table import read_embedding
from phenoloom.models.checkpoint import read_card
from phenoloom.training import module as training
from phenoloom.training.batches import preparation
from phenoloom.training.dataset import TrainingSet
from phenoloom.training.multi_study import SAME_GROUP, SAME_IMAGE, read_studies

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


def read(study: StudyOnDisk, name: str = "other", view: str = "tiles") -> StudyInput:
    return study.input(view, name)


def mixed(studies: list[str] | None = None, keep: bool = False, make: Any = image_settings, **changes: Any) -> Any:
    if make is image_settings:
        changes.setdefault("channels", NAMES)
    split = changes.pop("split", "fold-0")
    settings: PretrainSettings = make(split, **changes)
    mixture = Mixture(studies=studies or ["other", "toy"], shared_groups="keep" if keep else "drop")
    return settings.model_copy(update={"mixture": mixture})


def training_set_of(settings: PretrainSettings, toy: StudyOnDisk, *others: StudyInput) -> TrainingSet:
    assert settings.mixture is not None
    return read_studies(task_of(settings), settings.mixture, [toy.input(settings.model.view), *others])


def soiled(study: StudyOnDisk, folder: Path, change: Any) -> StudyInput:
    """The study with another index."""
    table = pq.read_table(study.index).to_pandas()
    change(table)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "index.parquet")
    return replace(study.input(name="other"), index=folder / "index.parquet")


def test_items_of_all_studies_are_read_as_they_are_in_their_stores(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    source = training_set_of(mixed(), toy, read(other)).source
    assert isinstance(source, MixedSource)
    assert source.item == (3 * 48 * 48 + (-3 * 48 * 48) % 16,)
    rows = np.random.default_rng(0).permutation(len(source))
    out = np.empty((len(rows), *source.item), np.uint8)
    source.read(rows, out)
    for place, row in enumerate(rows):
        number = int(source.source_of(rows[place : place + 1])[0])
        part = source.sources[number]
        expected = np.empty((1, *part.item), part.dtype)
        part.read(np.array([row - source.starts[number]]), expected)
        found = source.items(number, torch.from_numpy(out[place : place + 1]))
        assert np.array_equal(found.numpy(), expected)


def test_channels_reach_their_inputs_by_name_and_absent_ones_are_zero(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    settings = mixed()
    data = training_set_of(settings, toy, read(other))
    assert data.inputs.names == ["DNA", "actin", "ER"]
    prepare = preparation(domain_of(settings.model), "toy", data, makes_views=False)
    rows = np.array([len(data.source) - 1, 0, len(data.source) - 2])
    out = np.empty((3, *data.source.item), np.uint8)
    data.source.read(rows, out)
    inputs = prepare(torch.from_numpy(out), None, rows)
    assert inputs.shape == (3, 3, 32, 32)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    foreign, own = data.inputs.placements["other"], data.inputs.placements["toy"]
    assert foreign is not None
    assert foreign.sources == (1, 2, 0)
    assert own is not None
    assert own.sources == (0, 1, -1)
    assert (inputs[[0, 2], 2] == 0).all()
    assert isinstance(data.source, MixedSource)
    normaliser = data.studies[0].normaliser
    assert normaliser is not None
    tile = normaliser(data.source.items(0, torch.from_numpy(out[1:2])))
    assert torch.equal(inputs[1], tile[0, [1, 2, 0]])


def test_augmentation_leaves_absent_channels_as_they_are(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    settings = mixed(augment={"offset": 1.0, "noise": 1.0, "drop_channel": 0.9})
    data = training_set_of(settings, toy, read(other))
    prepare = preparation(domain_of(settings.model), "toy", data, makes_views=False)
    rows = np.arange(len(data.source) - 8, len(data.source))
    out = np.empty((8, *data.source.item), np.uint8)
    data.source.read(rows, out)
    inputs = prepare(torch.from_numpy(out), torch.Generator().manual_seed(0), rows)
    assert (inputs[:, 2] == 0).all()
    # One of the channels that are there always stays.
    assert (inputs[:, :2].abs().sum((1, 2, 3)) > 0).all()


def test_one_by_one_every_study_gives_as_many_channels_of_a_tile(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    settings = mixed(channels={"mode": "separate"})
    data = training_set_of(settings, toy, read(other))
    assert data.inputs.drawn == 2
    rows = np.arange(6)
    tiles = torch.arange(18).reshape(6, 3, 1, 1).expand(-1, -1, 2, 2)
    held = draw_channels(tiles, 2, rows, None)
    assert held[:, :, 0, 0].tolist() == [[0, 1], [4, 5], [8, 6], [9, 10], [13, 14], [17, 15]]
    drawn = draw_channels(tiles, 2, rows, torch.Generator().manual_seed(0))[:, :, 0, 0]
    assert (drawn // 3 == torch.arange(6)[:, None]).all()
    assert (drawn[:, 0] < drawn[:, 1]).all()
    assert draw_channels(tiles[:, :2], 2, rows, None).shape[1] == 2


def test_studies_of_other_channels_need_a_declared_set(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    with pytest.raises(PhenoloomError, match="other has ER, nucleus, actin and toy has DNA, actin; name the set"):
        training_set_of(mixed(channels={}), toy, read(other))
    with pytest.raises(PhenoloomError, match=r"channels of other are ER, nucleus, actin: without a place: ER, nucleus"):
        training_set_of(mixed(channels={"names": ["DNA", "actin"]}), toy, read(other))
    with pytest.raises(PhenoloomError, match="fill` is repeat:ER, and toy has no such channel"):
        training_set_of(mixed(channels={**NAMES, "fill": "repeat:ER"}), toy, read(other))
    placed = {"mode": "map", "inputs": 2, "map": {"DNA": 0, "actin": 1}, "drop": ["ER", "nucleus"]}
    data = training_set_of(mixed(channels=placed), toy, read(other))
    assert {name: place and place.sources for name, place in data.inputs.placements.items()} == {
        "other": (-1, 2),
        "toy": (0, 1),
    }


def test_test_groups_of_the_study_are_never_seen_and_other_studies_wholly(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    data = training_set_of(mixed(), toy, read(other))
    own = data.table[data.table["study"] == "toy"]
    assert not set(own["well"]) & {"W00", "W04"}
    assert (data.table["study"] == "other").sum() == 12
    assert set(data.train).isdisjoint(data.validation)
    assert set(data.table["study"].iloc[data.validation]) == {"toy", "other"}
    # What is called alike in two studies need not be the same: monitors know the study's own labels only.
    assert data.table["label"][data.table["study"] == "other"].isna().all()


def test_a_copy_of_a_test_image_in_another_study_is_taken_out_with_its_group(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    def copied(table: pd.DataFrame) -> None:
        # Well 0 of the toy study is tested in fold 0; one tile of W02 is a copy of its image.
        table.loc[table.index[table["well"] == "W02"][1], "digest"] = "P-0-0"
        # A copy of an image that may be trained on stays.
        table.loc[table["well"] == "W03", "digest"] = "P-0-1"

    foreign = soiled(other, tmp_path, copied)
    data = training_set_of(mixed(), toy, foreign)
    part = data.studies[0]
    assert (part.name, dict(part.taken_out)) == ("other", {SAME_GROUP: 0, SAME_IMAGE: 3})
    assert set(data.table["well"][data.table["study"] == "other"]) == {"W00", "W01", "W03"}
    # Another fold tests another well.
    assert training_set_of(mixed(split="fold-1"), toy, foreign).studies[0].taken_out[SAME_IMAGE] == 3
    assert training_set_of(mixed(split="fold-2"), toy, foreign).studies[0].taken_out[SAME_IMAGE] == 0


def test_groups_called_like_a_test_group_are_taken_out_unless_names_mean_nothing(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    foreign = soiled(other, tmp_path, lambda table: table.__setitem__("plate", "P"))
    data = training_set_of(mixed(), toy, foreign)
    assert dict(data.studies[0].taken_out) == {SAME_GROUP: 3, SAME_IMAGE: 0}
    assert "W00" not in set(data.table["well"][data.table["study"] == "other"])
    assert sum(training_set_of(mixed(keep=True), toy, foreign).studies[0].taken_out.values()) == 0


def test_an_encoder_of_other_studies_only_must_know_none_of_the_study(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    foreign = soiled(other, tmp_path, lambda table: table.__setitem__("plate", "P"))
    with pytest.raises(PhenoloomError, match="12 rows in a group called like a test group; where groups"):
        training_set_of(mixed(["other"], split="all"), toy, foreign)
    data = training_set_of(mixed(["other"], split="all"), toy, read(other))
    assert set(data.table["study"]) == {"other"}
    assert list(data.fold_normalisers) == ["fold-0", "fold-1", "fold-2", "fold-3"]
    # The statistics of a fold are those of its train groups, so that no test pixel has a say in them.
    wells = [row for row in toy.rows if row["well"] not in ("W01", "W05")]
    mean = np.mean([row["channel_mean"] for row in wells], axis=0)
    assert np.allclose(data.fold_normalisers["fold-1"].mean, mean)


def test_other_studies_than_those_of_the_settings_are_refused(toy: StudyOnDisk, other: StudyOnDisk) -> None:
    with pytest.raises(PhenoloomError, match="trained on other, toy, so `--also` must give other, found none"):
        training_set_of(mixed(), toy)
    with pytest.raises(PhenoloomError, match="must give other, found other, toy"):
        training_set_of(mixed(), toy, read(other), read(other, "toy"))
    with pytest.raises(PhenoloomError, match="must give other, found other, other"):
        training_set_of(mixed(), toy, read(other), read(other))
    with pytest.raises(PhenoloomError, match="needs what one study states"):
        training_set_of(mixed(contrast={"pairs": "labels"}), toy, read(other))


def run(
    settings: PretrainSettings, toy: StudyOnDisk, foreign: StudyInput, output: Path, threads: int = 1
) -> dict[str, bytes]:
    # So few epochs are too few for a codebook to be in use.
    options = RunOptions(collapse=Collapse(least_information=0))
    return train(settings, toy, output, options, threads=threads, others=[foreign])


def test_two_runs_give_the_same_bytes_and_the_card_says_what_was_seen(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    settings = mixed(training={"balance": {"weights": {"toy": 3}}})
    first = run(settings, toy, read(other), tmp_path / "a")
    assert run(settings, toy, read(other), tmp_path / "b", threads=3) == first
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
    run(mixed(channels=channels), toy, read(other), folder)
    output = tmp_path / "embeddings" / "m.parquet"
    embed(Representation("m", Encoder(folder, "fold-0")), toy.input(), output, made_by(), 1)
    table = pq.read_table(output)
    assert sum(name.startswith("m_") for name in table.column_names) == (16 if channels is NAMES else 32)
    assert set(table["Metadata_role"].to_pylist()) == {"train", "test"}


def test_one_encoder_of_another_study_serves_all_folds_and_has_seen_none(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    run(mixed(["other"], split="all"), toy, read(other), folder)
    vectors = {}
    for split in ("fold-0", "fold-1"):
        output = tmp_path / "embeddings" / f"{split}.parquet"
        embed(Representation("m", Encoder(folder, split)), toy.input(), output, made_by(), 1)
        assert not read_embedding(output, "m").seen_test_groups
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
    train(settings, toy, tmp_path / "m", others=[foreign])
    card = read_card(tmp_path / "m")
    assert (card.points, card.train_rows) == (32, 29)
    contours = Representation("m", Encoder(tmp_path / "m", "fold-0"))
    embed(contours, toy.input("shapes"), tmp_path / "e.parquet", made_by(), 1)
    assert pq.read_table(tmp_path / "e.parquet").num_rows == 32


@pytest.mark.parametrize("after", [2, 6])
def test_a_killed_run_continues_to_the_same_bits(
    after: int, toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = mixed(channels={"mode": "separate"}, augment={"noise": 0.1})
    whole = run(settings, toy, read(other), tmp_path / "whole")
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0.0)
    with monkeypatch.context() as patch:
        kill_after(after, patch)
        with pytest.raises(Killed):
            run(settings, toy, read(other), tmp_path / "killed")
    assert run(settings, toy, read(other), tmp_path / "killed") == whole


def test_shards_of_several_studies_are_staged_beside_each_other(
    toy: StudyOnDisk, other: StudyOnDisk, tmp_path: Path
) -> None:
    with staged_studies([toy.input(), read(other)], tmp_path) as (own, foreign):
        assert len({*own.stores, *foreign.stores}) == 4
        assert all(path.is_relative_to(tmp_path) for path in (*own.stores, *foreign.stores))
        assert [p.read_bytes() for p in own.stores] == [p.read_bytes() for p in toy.tiles]
        assert [p.read_bytes() for p in foreign.stores] == [p.read_bytes() for p in other.tiles]
    assert StudyInput.in_folder("other", other.index, other.folds, other.tiles[0].parent) == read(other)
