"""What two studies must share before one is tested with the encoders and probes of the other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from phenoloom.artifacts.jobs import jobs_of
from phenoloom.artifacts.layout import StudyFolder
from phenoloom.config import Config, RuleSettings, check_transfers, load_study
from phenoloom.config.load import Lazy
from phenoloom.config.study import Study
from phenoloom.config.transfer import has_encoder, not_transferred, transferred
from phenoloom.core.errors import PhenoloomError

ENTRIES: dict[str, dict[str, Any]] = {
    "props": {"descriptors": "regionprops"},
    "intensity": {"descriptors": "intensity"},
    "net": {"model": "net"},
    "raw": {"model": "net", "untrained": True},
    "both": {"concatenate": ["net", "props"]},
}


def study(folds: int, transfer: list[str]) -> dict[str, Any]:
    return {
        "title": "A study",
        "licence": "CC0-1.0",
        "source": {"files": "{image}.tif", "channels": ["DNA", "actin"], "masks": {}},
        "tiles": {"mode": "objects", "size": 32 * folds},
        "shapes": {"points": 64},
        "folds": {"count": folds},
        "representations": copy.deepcopy(ENTRIES),
        "transfer": transfer,
    }


@pytest.fixture
def files() -> dict[str, dict[str, Any]]:
    """Two studies that are tested with each other."""
    return {"one": study(3, ["two"]), "two": study(5, ["one"])}


def written(folder: Path, files: dict[str, dict[str, Any]]) -> Path:
    (folder / "studies").mkdir(exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    channels = {"names": ["DNA", "actin"], "aliases": {"nucleus": "DNA"}}
    model = {"view": "tiles", "objective": {"name": "ae"}, "channels": channels}
    (folder / "models" / "net.yaml").write_text(yaml.safe_dump(model))
    for name, content in files.items():
        (folder / "studies" / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def checked(folder: Path, files: dict[str, dict[str, Any]]) -> dict[str, Study]:
    config_dir = written(folder, files)
    studies = Lazy(list(files), lambda name: load_study(name, config_dir))
    check_transfers("one", studies, config_dir)
    return dict(studies)


def test_two_studies_may_be_tested_with_each_other_and_list_the_jobs_of_both_ways(
    tmp_path: Path, files: dict[str, dict[str, Any]]
) -> None:
    studies = checked(tmp_path, files)
    for name, other, splits in (("one", "two", 5), ("two", "one", 3)):
        jobs = list(jobs_of(RuleSettings(name, studies[name], Config(), tmp_path)))
        folder = StudyFolder(Path("results") / name)
        embedded = [job for job in jobs if job.rule == "transfer_embed"]
        expected = [(other, entry, f"fold-{fold}") for entry in ("net", "raw", "both") for fold in range(splits)]
        assert [job.values for job in embedded] == expected
        assert embedded[0].outputs == (folder.transfer(other).embeddings.table("net", "fold-0"),)
        tests = [job for job in jobs if job.rule == "transfer"]
        assert [job.outputs[0] for job in tests] == [folder.transfer(other).scores(entry) for entry in ENTRIES]
        assert len(tests) == 5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one, two: one.update(transfer=["one"]), "`transfer` names the study itself"),
        (lambda one, two: one.update(transfer=["tow"]), "did you mean 'two'?"),
        (lambda one, two: one.update(transfer=["two", "two"]), "`transfer`: must name each study once"),
        (
            lambda one, two: two.update(classify={"unit": "image"}),
            "`classify.unit` is object here and image there: probes of one cannot judge the other",
        ),
        (lambda one, two: two["source"].update(label_separator=";"), "one has several labels a unit"),
        (
            lambda one, two: two.update(representations={"x": {"descriptors": "efd"}}),
            "`transfer` names two, which declares none of its representations in the same words (x there)",
        ),
        (
            lambda one, two: two["shapes"].update(points=32),
            "representation 'props' cannot be tested as two has trained it: its outlines have 64 points here and 32",
        ),
        (
            lambda one, two: one["source"].update(channels=["DNA", "ER"]),
            "representation 'intensity' cannot be tested as two has trained it: its channels are DNA, ER here and DNA",
        ),
        (
            lambda one, two: one["source"].update(channels=["actin", "DNA"]),
            "'intensity' cannot be tested as two has trained it: its channels are actin, DNA here and DNA, actin there",
        ),
    ],
)
def test_studies_that_cannot_be_tested_with_each_other_are_refused(
    tmp_path: Path, files: dict[str, dict[str, Any]], change: Callable[..., None], sentence: str
) -> None:
    change(files["one"], files["two"])
    with pytest.raises(PhenoloomError) as error:
        checked(tmp_path, files)
    assert sentence in str(error.value)


def test_channels_reach_an_encoder_by_name_in_any_order(tmp_path: Path, files: dict[str, dict[str, Any]]) -> None:
    del files["one"]["representations"]["intensity"]
    files["one"]["source"]["channels"] = ["actin", "nucleus"]
    checked(tmp_path, files)
    files["one"]["source"]["channels"] = ["actin", "ER"]
    with pytest.raises(PhenoloomError, match=r"'net' cannot be tested .* its channels are actin, ER here and DNA, act"):
        checked(tmp_path, files)


def test_only_what_both_declare_in_the_same_words_is_tested(tmp_path: Path, files: dict[str, dict[str, Any]]) -> None:
    here, there = files["one"]["representations"], files["two"]["representations"]
    there["net"] = {"model": "net", "transductive": True}
    del there["intensity"]
    for entries in (here, there):
        entries["mixed"] = {"model": "net", "trained_on": ["one", "two"]}
    files["two"]["models"] = {"net": {"width": 8, "training": {"epochs": 3}}}
    del there["both"], here["both"]
    here["both"] = there["both"] = {"concatenate": ["raw", "net"]}
    studies = checked(tmp_path, files)
    one, two = studies["one"], studies["two"]
    # The encoder is the other study's, whatever this one would have made of it.
    assert transferred(one, two) == ["props", "raw"]
    reasons = {name: not_transferred(name, one, two) for name in one.representations}
    assert reasons == {
        "props": None,
        "intensity": "not declared there",
        "net": "declared otherwise there",
        "raw": None,
        "both": "net: declared otherwise there",
        "mixed": "trained on named studies",
    }
    assert [name for name in one.representations if has_encoder(name, one)] == ["net", "raw", "mixed", "both"]


def test_settings_of_a_test_are_those_of_both_studies_and_others_do_not_change(
    tmp_path: Path, files: dict[str, dict[str, Any]]
) -> None:
    files["one"] |= {"seed": 4, "classify": {"neighbours": 3}}
    studies = checked(tmp_path, files)
    rules = RuleSettings("one", studies["one"], Config(), tmp_path, studies)
    test = rules.transfer("two", "net")
    assert (test.study, test.source, test.folds, test.seed, test.classify.neighbours) == ("one", "two", 5, 4, 3)
    carried = rules.transfer_embed("two", "raw", "fold-4")
    assert (carried.study, carried.source, carried.split, carried.untrained) == ("one", "two", "fold-4", True)
    shown = rules.report().transfer["two"]
    assert (shown.window_px, shown.pixel_size_um, shown.left_out) == ((160, 96), (None, None), {})
    alone = RuleSettings("one", studies["one"].model_copy(update={"transfer": []}), Config(), tmp_path)
    assert alone.report().transfer == {}
    assert alone.embed("net", "fold-0").canonical() == rules.embed("net", "fold-0").canonical()
    assert alone.classify("net").canonical() == rules.classify("net").canonical()
