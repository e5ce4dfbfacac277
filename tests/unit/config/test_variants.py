"""Variants of models, and the representations that they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.config import Config, RuleSettings, Study, load_model, load_study, splits
from phenoloom.config.representation import families, standing
from phenoloom.config.variants import combinations
from phenoloom.core.errors import PhenoloomError

MODEL: dict[str, Any] = {
    "view": "tiles",
    "encoder": "vit-small",
    "objective": {"name": "mae"},
    "variants": {"patch": [4, 8], "objective.mask_ratio": [0.5, 0.75]},
}
STUDY: dict[str, Any] = {
    "title": "A study",
    "licence": "CC0-1.0",
    "source": {"root": "raw", "files": "{plate}/{well}.tif", "channels": ["DNA"], "masks": {}},
    "tiles": {"mode": "objects", "size": 64},
    "representations": {
        "intensity": {"descriptors": "intensity"},
        "masked": {"model": "mae"},
        "start": {"model": "mae", "untrained": True},
    },
}
SUFFIXES = [f".patch-{patch}.mask_ratio-{ratio}" for patch in (4, 8) for ratio in (0.5, 0.75)]


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    for folder in ("studies", "models"):
        (tmp_path / folder).mkdir()
    write(tmp_path, MODEL)
    return tmp_path


def write(config_dir: Path, model: dict[str, Any], name: str = "mae") -> None:
    (config_dir / "models" / f"{name}.yaml").write_text(yaml.safe_dump(model, sort_keys=False))


def load(config_dir: Path, **changes: Any) -> Study:
    (config_dir / "studies" / "mine.yaml").write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
    return load_study("mine", config_dir)


def test_each_combination_is_a_representation_with_a_model_of_its_own(config_dir: Path) -> None:
    study = load(config_dir)
    names = ["intensity", *(f"masked{s}" for s in SUFFIXES), *(f"start{s}" for s in SUFFIXES)]
    assert list(study.representations) == names
    rules = RuleSettings("mine", study, Config(), config_dir)
    for (patch, ratio), suffix in zip([(4, 0.5), (4, 0.75), (8, 0.5), (8, 0.75)], SUFFIXES, strict=True):
        entry = study.representations[f"masked{suffix}"]
        assert entry.model == f"mae{suffix}"
        settings = rules.pretrain(entry.model, "fold-0")
        assert (settings.model.patch, settings.model.objective.mask_ratio) == (patch, ratio)
        assert settings.model_name == entry.model
        assert rules.embed(f"start{suffix}", "fold-0").untrained
        assert splits(study, f"masked{suffix}") == [f"fold-{i}" for i in range(5)]
    assert rules.compare().representations == names


def test_a_value_that_is_added_trains_nothing_again(config_dir: Path) -> None:
    def digests(study: Study) -> dict[str, str]:
        rules = RuleSettings("mine", study, Config(), config_dir)
        models = {entry.model for entry in study.representations.values() if entry.model}
        return {model: rules.pretrain(model, "fold-0").digest() for model in models}

    before = digests(load(config_dir))
    write(config_dir, {**MODEL, "variants": {**MODEL["variants"], "patch": [4, 8, 16]}})
    after = digests(load(config_dir))
    assert len(set(before.values())) == 4
    assert len(after) == 6
    assert before.items() < after.items()


def test_a_variant_is_trained_as_a_model_that_was_written_so(config_dir: Path) -> None:
    study = load(config_dir)
    plain = {**MODEL, "patch": 8, "objective": {"name": "mae", "mask_ratio": 0.5}}
    del plain["variants"]
    write(config_dir, plain, "plain")
    assert load_model("mae.patch-8.mask_ratio-0.5", study, config_dir) == load_model("plain", study, config_dir)


def test_draws_of_a_model_are_variants_and_that_of_the_default_seed_is_the_model_itself(config_dir: Path) -> None:
    write(config_dir, {**MODEL, "variants": {"training.seed": [0, 1, 2]}})
    study = load(config_dir)
    assert [name for name in study.representations if "masked" in name] == [f"masked.seed-{i}" for i in range(3)]
    settings = RuleSettings("mine", study, Config(), config_dir)
    drawn = [settings.pretrain(f"mae.seed-{i}", "fold-0").model for i in range(3)]
    assert [model.training.seed for model in drawn] == [0, 1, 2]
    write(config_dir, {key: value for key, value in MODEL.items() if key != "variants"})
    plain = RuleSettings("mine", load(config_dir), Config(), config_dir).pretrain("mae", "fold-0").model
    assert plain.model_dump() == drawn[0].model_dump()


def test_representations_that_differ_in_their_seed_alone_are_a_family(config_dir: Path) -> None:
    """One for each combination of the other keys, of trained, untrained and concatenated representations alike."""
    write(config_dir, {**MODEL, "variants": {"training.seed": [5, 0], "patch": [4, 8]}})
    write(config_dir, {**MODEL, "variants": {"training.seed": [7]}}, "once")
    more = {"once": {"model": "once"}, "both": {"concatenate": ["masked", "intensity"]}}
    study = load(config_dir, representations={**STUDY["representations"], **more})
    expected = {
        f"{name}.patch-{patch}": {f"{name}.seed-{seed}.patch-{patch}": seed for seed in (5, 0)}
        for name in ("masked", "start", "both")
        for patch in (4, 8)
    }
    assert families(study.representations) == expected
    rules = RuleSettings("mine", study, Config(), config_dir)
    assert rules.compare().families == rules.report().families == expected
    stand = standing(list(study.representations), expected)
    assert stand == [
        "intensity",
        *(f"{name}.patch-{patch}" for name in ("masked", "start") for patch in (4, 8)),
        "once.seed-7",
        "both.patch-4",
        "both.patch-8",
    ]


def test_variants_without_a_seed_are_no_family(config_dir: Path) -> None:
    assert families(load(config_dir).representations) == {}


def test_a_representation_with_the_name_of_a_family_is_refused(config_dir: Path) -> None:
    write(config_dir, {**MODEL, "variants": {"training.seed": [0, 1], "patch": [4]}})
    taken = {**STUDY["representations"], "masked.patch-4": {"descriptors": "intensity"}}
    with pytest.raises(PhenoloomError, match=r"Two representations are called .masked.patch-4., and one of"):
        load(config_dir, representations=taken)


def test_a_study_may_list_its_own_values_or_none(config_dir: Path) -> None:
    study = load(config_dir, models={"mae": {"variants": {"patch": [2], "objective.mask_ratio": [0.9]}, "latent": 32}})
    assert [name for name in study.representations if "masked" in name] == ["masked.patch-2.mask_ratio-0.9"]
    model = load_model("mae.patch-2.mask_ratio-0.9", study, config_dir)
    assert (model.patch, model.latent) == (2, 32)
    assert list(load(config_dir, models={"mae": {"variants": None}}).representations) == list(STUDY["representations"])


def test_what_concatenates_variants_is_one_of_each(config_dir: Path) -> None:
    """Closed form: keys that parts share have one value, those that only one lists are combined with all others."""
    write(config_dir, {**MODEL, "variants": {"patch": [4, 8], "training.seed": [0, 1]}})
    write(config_dir, {**MODEL, "variants": {"training.seed": [1, 2], "objective.mask_ratio": [0.5, 0.9]}}, "other")
    parts = {**STUDY["representations"], "another": {"model": "other"}}
    study = load(config_dir, representations={**parts, "both": {"concatenate": ["masked", "intensity", "another"]}})
    assert {name: entry.concatenate for name, entry in study.representations.items() if entry.concatenate} == {
        f"both.patch-{patch}.seed-1.mask_ratio-{ratio}": [
            f"masked.patch-{patch}.seed-1",
            "intensity",
            f"another.seed-1.mask_ratio-{ratio}",
        ]
        for patch in (4, 8)
        for ratio in (0.5, 0.9)
    }
    rules = RuleSettings("mine", study, Config(), config_dir)
    for name, entry in study.representations.items():
        assert rules.embed(name, "fold-0").concatenate == entry.concatenate
        assert splits(study, name) == (["all"] if name == "intensity" else [f"fold-{i}" for i in range(5)])


def test_a_representation_and_its_untrained_twin_are_concatenated_seed_by_seed(config_dir: Path) -> None:
    write(config_dir, {**MODEL, "variants": {"training.seed": [0, 1, 2]}})
    study = load(config_dir, representations={"both": {"concatenate": ["masked", "start"]}, **STUDY["representations"]})
    assert list(study.representations)[:3] == [f"both.seed-{seed}" for seed in range(3)]
    assert [study.representations[f"both.seed-{seed}"].concatenate for seed in range(3)] == [
        [f"masked.seed-{seed}", f"start.seed-{seed}"] for seed in range(3)
    ]


def test_parts_without_a_common_value_are_refused(config_dir: Path) -> None:
    write(config_dir, {**MODEL, "variants": {"training.seed": [0, 1]}})
    write(config_dir, {**MODEL, "variants": {"training.seed": [2], "patch": [4]}}, "other")
    parts = {**STUDY["representations"], "another": {"model": "other"}}
    with pytest.raises(PhenoloomError) as caught:
        load(config_dir, representations={**parts, "both": {"concatenate": ["masked", "another"]}})
    assert "'both' concatenates parts that must agree in `training.seed`" in str(caught.value)
    assert "variants` of another list no value in common" in str(caught.value)


@pytest.mark.parametrize(
    ("variants", "sentence"),
    [
        ({"pach": [4]}, "variant 'pach-4': unknown key `pach`; did you mean 'patch'?"),
        ({"patch": [4, 5]}, "variant 'patch-5': `the file`: `input_size` must be a multiple of 5 px"),
        ({"patch": [4, 4]}, "has 'patch-4' twice; give each value once"),
        ({"patch": []}, "`variants.patch`: list should have at least 1 item"),
        ({"patch": 4}, "`variants.patch`: input should be a valid list"),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(config_dir: Path, variants: Any, sentence: str) -> None:
    write(config_dir, {**MODEL, "variants": variants})
    with pytest.raises(PhenoloomError) as caught:
        load(config_dir)
    assert sentence in str(caught.value)
    assert "mae.yaml" in str(caught.value)


@pytest.mark.parametrize("seed", [None, "two", [], float("inf")])
def test_a_seed_that_is_no_number_is_refused_in_a_sentence(config_dir: Path, seed: Any) -> None:
    write(config_dir, {**MODEL, "variants": {"training.seed": [0, seed]}})
    with pytest.raises(PhenoloomError, match=r"list .* for `training\.seed`; give whole numbers"):
        load(config_dir)


def test_a_variant_that_is_not_listed_names_the_nearest(config_dir: Path) -> None:
    with pytest.raises(
        PhenoloomError, match=r"lists no 'patch-8.mask_ratio-0.6'; did you mean 'patch-8.mask_ratio-0.5'"
    ):
        load_model("mae.patch-8.mask_ratio-0.6", load(config_dir), config_dir)


def test_a_representation_with_the_name_of_a_variant_is_refused(config_dir: Path) -> None:
    taken = {**STUDY["representations"], f"masked{SUFFIXES[0]}": {"descriptors": "intensity"}}
    with pytest.raises(PhenoloomError, match=r"Two representations are called .masked.patch-4.mask_ratio-0.5."):
        load(config_dir, representations=taken)


def test_a_model_file_with_a_dot_in_its_name_is_a_model(config_dir: Path) -> None:
    plain = {key: value for key, value in MODEL.items() if key != "variants"}
    write(config_dir, plain, "mae.v2")
    study = load(config_dir, representations={"new": {"model": "mae.v2"}})
    assert study.representations["new"].model == "mae.v2"


def test_keys_that_end_alike_are_written_in_full() -> None:
    names = list(
        combinations({"objective.name": ["ae", "vae"], "channels.name": ["x"], "width": [None], "flip": [True]})
    )
    assert names[0] == ".objective.name-ae.channels.name-x.width-none.flip-true"


@given(st.lists(st.text() | st.integers() | st.floats() | st.booleans() | st.none(), min_size=1, max_size=1))
def test_names_of_variants_are_names_of_files(values: list[Any]) -> None:
    (suffix,) = combinations({"key": values})
    assert suffix.startswith(".key-")
    assert set(suffix) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
