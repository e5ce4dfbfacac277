"""Studies and models: what a mistake is answered with, and what a study changes in a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.helpers.configuration import STUDY, changed, load, write_model

from phenoloom.config import RuleSettings, load_config, load_model, load_study, read_yaml
from phenoloom.config.load import Lazy, check_mixtures, view_of, with_values
from phenoloom.config.manual import schemas
from phenoloom.config.run import Config
from phenoloom.core.errors import PhenoloomError


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("representations", "x"), {"model": "vqvea"}, "did you mean 'vqvae'?"),
        (("models", "other"), {"width": 4}, "`models.other` changes a model that no representation uses"),
        (("models", "vqvae"), {"trainin": {}}, "unknown key `trainin`; did you mean 'training'?"),
        (("models", "vqvae"), {"training": {"epoch": 3}}, "unknown key `training.epoch`; did you mean 'epochs'?"),
        (("models", "vqvae"), {"latent": 100}, "`latent` must be a multiple of `objective.code_dim`, found 100 and 64"),
        (("models", "vqvae"), {"training": {"gradient_clip": float("inf")}}, "should be a finite number"),
        (("shapes",), None, "representation 'regionprops' needs the view `shapes`, which the study does not have"),
        (
            ("representations", "x"),
            {"model": "vqvae", "trained_on": ["other"], "transductive": True},
            "'x' is `transductive`, but `trained_on` lacks mine",
        ),
    ],
)
def test_a_mistake_is_refused_in_a_sentence_that_names_file_and_key(
    config_dir: Path, keys: tuple[str, ...], value: Any, sentence: str
) -> None:
    with pytest.raises(PhenoloomError) as caught:
        load(config_dir, changed(*keys, value=value))
    assert sentence in str(caught.value)
    assert str(config_dir) in str(caught.value)


def test_a_missing_study_names_the_nearest_one(config_dir: Path) -> None:
    load(config_dir, STUDY)
    with pytest.raises(PhenoloomError, match=r"did you mean 'mine'\?"):
        load_study("mien", config_dir)


def test_study_changes_replace_single_keys_of_a_model(config_dir: Path) -> None:
    study = load(config_dir, changed("models", "vqvae", value={"training": {"epochs": 3}}))
    settings = RuleSettings("mine", study, Config(), config_dir).pretrain("vqvae", "fold-0")
    assert settings.model.training.epochs == 3
    assert settings.model.training.batch_size == 64


def test_training_on_the_study_alone_is_the_default(config_dir: Path) -> None:
    study = load(config_dir, changed("representations", "x", value={"model": "vqvae", "trained_on": ["mine"]}))
    assert study.representations["x"] == study.representations["vqvae"]


def test_a_concatenation_with_tiles_needs_tiles(config_dir: Path) -> None:
    entries = {
        "props": {"descriptors": "regionprops"},
        "efd": {"descriptors": "efd"},
        "pixels": {"descriptors": "intensity"},
        "net": {"model": "vqvae"},
        "shape": {"concatenate": ["props", "efd"]},
        "both": {"concatenate": ["props", "net"]},
    }
    study = load(config_dir, {**STUDY, "representations": entries})
    views = {name: view_of(entry, study, config_dir) for name, entry in study.representations.items()}
    shapes = dict.fromkeys(("props", "efd", "shape"), "shapes")
    assert views == {**shapes, **dict.fromkeys(("pixels", "net", "both"), "tiles")}


def test_a_model_takes_other_values_by_dotted_key_or_refuses_them(config_dir: Path) -> None:
    model = load_model("vqvae", load(config_dir, STUDY), config_dir)
    other = with_values(model, {"training.epochs": 3, "latent": 128}, "chosen.yaml")
    assert (other.training.epochs, other.latent, other.training.batch_size) == (3, 128, 64)
    with pytest.raises(PhenoloomError, match=r"chosen\.yaml.*`latent` must be a multiple"):
        with_values(model, {"latent": 100}, "chosen.yaml")


def test_ends_of_ranges_that_a_model_refuses_are_refused(config_dir: Path) -> None:
    tune = {"ranges": {"latent": {"low": 64, "high": 100}}}
    write_model(config_dir, {"view": "tiles", "objective": {"name": "vqvae"}, "tune": tune})
    with pytest.raises(PhenoloomError, match=r"`tune.ranges.latent` at 100.*must be a multiple"):
        load(config_dir, STUDY)


@pytest.mark.parametrize(
    ("other", "tune", "sentence"),
    [
        ({**STUDY, "tiles": None}, None, "is trained on the `tiles` of other, which has none"),
        (STUDY, {"ranges": {"latent": {"choices": [64, 128]}}}, "searches its settings (`tune`) in one"),
    ],
)
def test_studies_that_cannot_be_trained_on_together_are_refused(
    config_dir: Path, other: dict[str, Any], tune: dict[str, Any] | None, sentence: str
) -> None:
    write_model(config_dir, {"view": "tiles", "objective": {"name": "vqvae"}, "tune": tune})
    entries = {"mixed": {"model": "vqvae", "trained_on": ["mine", "other"]}}
    mine = load(config_dir, {**STUDY, "representations": entries})
    source = {**other, "source": {**other["source"], "masks": {"files": "{plate}/{well}.png"}}}
    source["representations"] = {"props": {"descriptors": "regionprops"}}
    (config_dir / "studies" / "other.yaml").write_text(yaml.safe_dump(source))
    studies = {"mine": mine, "other": load_study("other", config_dir)}
    with pytest.raises(PhenoloomError) as caught:
        check_mixtures("mine", studies, config_dir)
    assert sentence in str(caught.value)


def test_an_unknown_key_on_the_command_line_is_refused() -> None:
    with pytest.raises(PhenoloomError, match="unknown key `study`; did you mean 'studies'"):
        load_config({"study": ["demo"]})


def test_a_lazy_mapping_makes_each_value_once_and_keeps_the_order() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    lazy = Lazy(["b", "a", "b"], make)
    assert (list(lazy), len(lazy), made) == (["b", "a"], 2, [])
    assert (lazy["a"], lazy["a"], made) == ("A", "A", ["a"])
    assert "c" not in lazy
    with pytest.raises(KeyError):
        lazy["c"]


def test_every_study_and_model_of_the_project_is_valid_by_itself_and_by_its_schema(repository: Path) -> None:
    config_dir = repository / "config"
    names = sorted(path.stem for path in (config_dir / "studies").glob("*.yaml"))
    assert {"demo", "mpeg7", "osteosarcoma-line", "osteosarcoma-treatment", "wbc-site1", "wbc-site2"} <= set(names)
    texts = schemas()
    for name in names:
        load_study(name, config_dir)
        jsonschema.validate(read_yaml(config_dir / "studies" / f"{name}.yaml"), json.loads(texts["study"]))
    for path in sorted((config_dir / "models").glob("*.yaml")):
        jsonschema.validate(read_yaml(path), json.loads(texts["model"]))
