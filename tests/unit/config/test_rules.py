"""Which rule depends on which keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.configuration import STUDY, changed, load, write_model

from phenoloom.config import Config, RuleSettings, model_split, splits
from phenoloom.config.representation import Representation
from phenoloom.config.rules import raw_root
from phenoloom.core.errors import PhenoloomError


def test_a_simulated_study_finds_its_raw_data_in_the_results(config_dir: Path) -> None:
    study = load(config_dir, changed("source", "simulate", value={}))
    assert RuleSettings("mine", study, Config(results="out"), config_dir).convert().root == "out/mine/raw"
    assert raw_root("mine", load(config_dir, STUDY), Config(data_root="data")) == "data/raw"


def test_only_encoders_trained_per_fold_have_fold_splits(config_dir: Path) -> None:
    study = load(config_dir, changed("representations", "seen", value={"model": "vqvae", "transductive": True}))
    assert splits(study, "regionprops") == ["all"]
    assert splits(study, "seen") == ["all"]
    assert splits(study, "vqvae") == [f"fold-{i}" for i in range(5)]


def test_an_encoder_that_never_saw_the_study_serves_all_of_its_folds() -> None:
    assert model_split("mine", Representation(model="m"), "fold-1") == "fold-1"
    assert model_split("mine", Representation(model="m", trained_on=["other"]), "fold-1") == "all"


@pytest.mark.parametrize(
    ("keys", "value", "again"),
    [
        (("title",), "Another title", {"report"}),
        (("classify",), {"neighbours": 3}, {"classify", "audit"}),
        (("source", "pixel_size_um"), 0.5, {"convert"}),
        (("tiles", "size"), 72, {"convert"}),
        (("shapes", "points"), 32, {"contours"}),
        (("folds", "count"), 4, {"folds", "classify", "audit"}),
        (("models", "vqvae"), {"training": {"epochs": 3}}, {"pretrain"}),
        (("models", "vqvae"), {"training": {"devices": 2, "compile": True}}, set()),
        (("models", "vqvae"), {"training": {"balance": {"size_exponent": 1}}}, set()),
        (("source", "masks", "min_area_px"), 3, {"convert"}),
    ],
)
def test_a_key_reaches_the_rules_that_depend_on_it_and_no_others(
    config_dir: Path, keys: tuple[str, ...], value: Any, again: set[str]
) -> None:
    def digests(study: dict[str, Any]) -> dict[str, str]:
        rules = RuleSettings("mine", load(config_dir, study), Config(), config_dir)
        plain = (
            "sheet",
            "convert",
            "index",
            "contours",
            "distances",
            "describe",
            "folds",
            "audit",
            "compare",
            "report",
        )
        found = {name: getattr(rules, name)().digest() for name in plain}
        found["pretrain"] = rules.pretrain("vqvae", "fold-0").digest()
        found["embed"] = rules.embed("vqvae", "fold-0").digest()
        found["classify"] = rules.classify("vqvae").digest()
        return found

    before, after = digests(STUDY), digests(changed(*keys, value=value))
    assert {name for name in before if before[name] != after[name]} == again


OBJECTS: dict[str, Any] = {
    "path": "cells.csv",
    "join": {"image": "Image"},
    "object": "ObjectNumber",
    "label": "phenotype",
}
BY_POINT: dict[str, Any] = {**OBJECTS, "object": None, "x": "X", "y": "Y"}


@pytest.mark.parametrize("objects", [OBJECTS, BY_POINT], ids=["number", "point"])
@pytest.mark.parametrize(
    "change",
    [
        {"objects": {"path": "other.csv"}},
        {"objects": {"header": ["Image", "ObjectNumber", "X", "Y", "phenotype"]}},
        {"objects": {"join": {"plate": "Image"}}},
        {"objects": {"zero_pad": {"Image": 4}}},
        {"objects": {"label": "type"}},
        {"objects": {"group": "patient"}},
        {"classes": {"a": "b"}},
        {"label_separator": ";"},
    ],
    ids=str,
)
def test_keys_of_the_table_of_objects_reach_its_step_and_no_other(
    config_dir: Path, objects: dict[str, Any], change: dict[str, Any]
) -> None:
    def digests(more: dict[str, Any]) -> dict[str, str]:
        source = {**STUDY["source"], **more, "objects": {**objects, **more.get("objects", {})}}
        source["masks"] = {**STUDY["source"]["masks"], "files": "{plate}/{well}_mask.tif"}
        rules = RuleSettings("mine", load(config_dir, changed("source", value=source)), Config(), config_dir)
        return {name: getattr(rules, name)().digest() for name in ("sheet", "objects", "convert", "contours", "index")}

    before, after = digests({}), digests(change)
    assert {name for name in before if before[name] != after[name]} == {"objects"}


def test_which_plane_of_a_mask_file_is_read_reaches_what_reads_it_and_not_the_sheet(config_dir: Path) -> None:
    def digests(**more: Any) -> dict[str, str]:
        source = {**STUDY["source"], "masks": {"files": "{plate}/{well}_mask.tif", **more}}
        rules = RuleSettings("mine", load(config_dir, changed("source", value=source)), Config(), config_dir)
        return {name: getattr(rules, name)().digest() for name in ("sheet", "convert", "index")}

    for more in ({"plane": 1}, {"image": "cells"}, {"level": 1}):
        before, after = digests(), digests(**more)
        assert {name for name in before if before[name] != after[name]} == {"convert"}


def test_a_search_is_part_of_the_training_that_follows_it_and_its_number_of_jobs_is_not(config_dir: Path) -> None:
    def digests(**tune: Any) -> tuple[str | None, str, str]:
        ranges = {"latent": {"choices": [64, 128]}}
        write_model(config_dir, {"view": "tiles", "objective": {"name": "vqvae"}, "tune": {"ranges": ranges, **tune}})
        rules = RuleSettings("mine", load(config_dir, STUDY), Config(), config_dir)
        training = rules.pretrain("vqvae", "fold-0")
        return training.search, rules.tune("vqvae", "fold-0").digest(), training.digest()

    before = digests(trials=4)
    assert before[0] == before[1]
    assert digests(trials=4, workers=3) == before
    assert not {*digests(trials=5)} & {*before}


def test_a_rule_without_its_section_says_which_one_it_needs(config_dir: Path) -> None:
    without_shapes = {key: value for key, value in STUDY.items() if key != "shapes"}
    without_shapes["representations"] = {"vqvae": {"model": "vqvae"}}
    rules = RuleSettings("mine", load(config_dir, without_shapes), Config(), config_dir)
    for settings, section in (
        (rules.simulate, "source.simulate"),
        (rules.contours, "shapes"),
        (lambda: rules.tune("vqvae", "all"), "models.vqvae.tune"),
    ):
        with pytest.raises(PhenoloomError, match=f"^mine: .* needs the section `{section}`, .*; add it"):
            settings()
