"""Configuration: closed sections, sentences that help, canonical settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.config import Config, RuleSettings, Study, load_config, load_study, read_yaml, splits
from phenoloom.config.load import Lazy
from phenoloom.config.manual import filled, schemas
from phenoloom.config.rule_settings import PretrainSettings, canonical_json
from phenoloom.core.errors import PhenoloomError

STUDY: dict[str, Any] = {
    "title": "A study",
    "licence": "CC0-1.0",
    "source": {"root": "raw", "files": "{plate}/{well}.tif", "channels": ["DNA"], "masks": {}},
    "tiles": {"mode": "objects", "size": 64},
    "shapes": {"points": 64},
    "representations": {"regionprops": {"descriptors": "regionprops"}, "vqvae": {"model": "vqvae"}},
}
MODEL = {"view": "tiles", "objective": {"name": "vqvae"}}


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    (tmp_path / "studies").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vqvae.yaml").write_text(yaml.safe_dump(MODEL))
    return tmp_path


def load(config_dir: Path, study: dict[str, Any]) -> Study:
    (config_dir / "studies" / "mine.yaml").write_text(yaml.safe_dump(study))
    return load_study("mine", config_dir)


def changed(*keys: str, value: Any) -> dict[str, Any]:
    study: dict[str, Any] = json.loads(json.dumps(STUDY))
    section = study
    for key in keys[:-1]:
        section = section.setdefault(key, {})
    section[keys[-1]] = value
    return study


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("license",), "CC0", "unknown key `license`; did you mean 'licence'?"),
        (("tiles", "sise"), 3, "unknown key `tiles.sise`; did you mean 'size'?"),
        (("source", "masks", "min_area"), 3, "unknown key `source.masks.min_area`; did you mean 'min_area_px'?"),
        (("representations", "x"), {"modle": "m"}, "unknown key `representations.x.modle`; did you mean 'model'?"),
        (("models", "vqvae"), {"trainin": {}}, "unknown key `trainin`; did you mean 'training'?"),
        (("models", "vqvae"), {"training": {"epoch": 3}}, "unknown key `training.epoch`; did you mean 'epochs'?"),
        (("tiles", "size"), "big", "`tiles.size`: input should be a valid integer"),
        (("licence",), "", "`licence`"),
        (("representations", "x"), {}, "give exactly one of `descriptors`, `model` and `concatenate`"),
        (("representations", "x"), {"concatenate": ["regionprops"]}, "`representations.x.concatenate`"),
        (("representations", "x"), {"concatenate": ["regionprops"] * 2}, "must name each representation once"),
        (("representations", "x"), {"concatenate": ["regionprops", "y"]}, "names 'y', which is not a representation"),
        (("representations", "x"), {"concatenate": ["regionprops", "x"]}, "names 'x', which is itself concatenated"),
        (("representations", "x"), {"descriptors": "efd", "concatenate": ["a", "b"]}, "give exactly one of"),
        (("representations", "x"), {"model": "vqvea"}, "did you mean 'vqvae'?"),
        (("models", "other"), {"width": 4}, "`models.other` changes a model that no representation uses"),
        (("source", "outlines"), {"path": "x"}, "give exactly one of `files`"),
        (("source", "channels"), [], "`source.channels` must name the channels"),
        (("source", "masks"), None, "`source.masks` must say where objects come from"),
        (("shapes",), None, "representation 'regionprops' needs the view `shapes`, which the study does not have"),
        (("folds",), {"count": 1}, "`folds.count`"),
        (("seed",), 2**32, "`seed`"),
        (("source", "root"), "raw {a}", "`source.root`: must hold no braces"),
        (("source", "pixel_size_um"), float("inf"), "`source.pixel_size_um`: input should be a finite number"),
        (("models", "vqvae"), {"training": {"gradient_clip": float("inf")}}, "should be a finite number"),
        (("tiles", "mode"), "grid", "a grid cuts objects; use `tiles.mode: objects`"),
        (("models", "vqvae"), {"latent": 100}, "`latent` must be a multiple of `objective.code_dim`, found 100 and 64"),
        (("tiles",), None, "`shapes` without `tiles` come from mask files"),
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


def test_a_study_without_licence_is_refused(config_dir: Path) -> None:
    with pytest.raises(PhenoloomError, match="`licence`: field required"):
        load(config_dir, {key: value for key, value in STUDY.items() if key != "licence"})


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("title: a\ntitle: b\n")
    with pytest.raises(PhenoloomError, match=r"'title' is given twice \(line 2\)"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "a: [", "!!python/object:os.system {}", "a: 2024-02-30", "? [a, b]\n: c", "a: !!int abc"]
)
def test_a_file_that_is_not_plain_yaml_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(PhenoloomError, match=r"bad\.yaml"):
        read_yaml(path)


def test_study_changes_replace_single_keys_of_a_model(config_dir: Path) -> None:
    study = load(config_dir, changed("models", "vqvae", value={"training": {"epochs": 3}}))
    settings = RuleSettings("mine", study, Config(), config_dir).pretrain("vqvae", "fold-0")
    assert settings.model.training.epochs == 3
    assert settings.model.training.batch_size == 64


def test_settings_survive_their_canonical_text(config_dir: Path) -> None:
    rules = RuleSettings("mine", load(config_dir, STUDY), Config(), config_dir)
    settings = rules.pretrain("vqvae", "fold-0")
    assert PretrainSettings.parse(settings.canonical()) == settings
    assert len(settings.digest()) == 64


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=5))
def test_canonical_text_does_not_depend_on_the_order_of_keys(values: dict[str, Any]) -> None:
    assert canonical_json(values) == canonical_json(dict(reversed(values.items())))
    assert json.loads(canonical_json(values)) == values


def test_settings_that_no_command_could_be_given_are_refused(config_dir: Path) -> None:
    many = {f"compound {number}": f"class {number}" for number in range(5000)}
    settings = RuleSettings("mine", load(config_dir, changed("source", "classes", value=many)), Config(), config_dir)
    with pytest.raises(PhenoloomError, match=r"study mine take 1\d\d,\d{3} bytes.*`source.classes`"):
        settings.sheet().canonical()


def test_a_simulated_study_finds_its_raw_data_in_the_results(config_dir: Path) -> None:
    study = load(config_dir, changed("source", "simulate", value={}))
    assert RuleSettings("mine", study, Config(results="out"), config_dir).convert().root == "out/mine/raw"


def test_only_encoders_trained_per_fold_have_fold_splits(config_dir: Path) -> None:
    study = load(config_dir, changed("representations", "seen", value={"model": "vqvae", "transductive": True}))
    assert splits(study, "regionprops") == ["all"]
    assert splits(study, "seen") == ["all"]
    assert splits(study, "vqvae") == [f"fold-{i}" for i in range(5)]


def test_an_unknown_key_on_the_command_line_is_refused() -> None:
    with pytest.raises(PhenoloomError, match="unknown key `study`; did you mean 'studies'"):
        load_config({"study": ["demo"]})


def test_the_manual_and_the_schemas_are_what_the_models_say(repository: Path) -> None:
    readme = (repository / "config" / "README.md").read_text(encoding="utf-8")
    assert filled(readme) == readme, "config/README.md has drifted from the models: run `make manual`"
    for name, text in schemas().items():
        path = repository / "config" / "schemas" / f"{name}.schema.json"
        assert path.read_text(encoding="utf-8") == text, f"{path} has drifted: run `make manual`"


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


def test_a_lazy_mapping_makes_each_value_once_and_only_when_asked() -> None:
    made: list[str] = []
    lazy = Lazy(["b", "a"], lambda name: made.append(name) or name.upper())  # type: ignore[func-returns-value]
    assert (list(lazy), len(lazy), "a" in lazy, made) == (["b", "a"], 2, True, [])
    assert (lazy["a"], lazy["a"], made) == ("A", "A", ["a"])
    with pytest.raises(KeyError):
        lazy["c"]
