from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.helpers.images import read_image
from tests.helpers.steps import run_sheet, run_simulate

from phenoloom.artifacts.manifest import file_digest, read_manifest
from phenoloom.config import RuleSettings, load_config, load_study
from phenoloom.config.rule_settings import SimulateSettings
from phenoloom.config.source import Simulation
from phenoloom.core.errors import ImageError, PhenoloomError
from phenoloom.study import simulate
from phenoloom.study.simulate import lay_out_plate
from phenoloom.study.synthetic_cells import PHENOTYPES

SMALL = Simulation(plates=2, wells=8, fields=1, cells=4, image_size=128, broken_files=3)


def settings(simulation: Simulation = SMALL, seed: int = 0) -> SimulateSettings:
    return SimulateSettings(algorithm=1, study="demo", simulation=simulation, seed=seed)


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_digest([p]) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    run_simulate(settings(), folder / "raw", folder / "simulate.json")
    return folder


def test_files_tables_and_manifest_say_the_same(small: Path) -> None:
    manifest = read_manifest(small / "simulate.json")
    files = sorted((small / "raw").rglob("*.tif"))
    assert manifest["found"] == {"images": 16, "files": 48}
    assert len(files) == 48
    annotation = pd.read_csv(small / "raw" / "annotation.csv", dtype=str)
    assert annotation.groupby("Plate")["Phenotype"].value_counts().tolist() == [2] * 8
    truth = pd.read_parquet(small / "raw" / "truth.parquet")
    assert len(truth) == manifest["cells"] == 64
    merged = truth.merge(annotation, left_on=["plate", "well"], right_on=["Plate", "Well"])
    assert (merged["phenotype"] == merged["Phenotype"]).all()


def test_damaged_files_cannot_be_read_and_all_others_can(small: Path) -> None:
    damaged = read_manifest(small / "simulate.json")["damaged"]
    assert sorted(damaged.values()) == ["text instead of an image", "truncated", "zero bytes"]
    for file in sorted((small / "raw").rglob("*.tif")):
        if file.relative_to(small / "raw").as_posix() in damaged:
            with pytest.raises(ImageError):
                read_image([file], 1)
        else:
            image = read_image([file], 1)
            assert (image.shape, image.dtype) == ((1, 128, 128), np.uint16)


def test_a_run_that_was_killed_leaves_nothing_behind(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, manifest = tmp_path / "raw", tmp_path / "simulate.json"
    written: list[Path] = []

    def die(path: Path, *arguments: object) -> None:
        if len(written) == 20:
            raise KeyboardInterrupt
        written.append(path)
        write(path, *arguments)

    write = simulate._write_tiff
    with monkeypatch.context() as patch:
        patch.setattr(simulate, "_write_tiff", die)
        with pytest.raises(KeyboardInterrupt):
            run_simulate(settings(Simulation(plates=3)), folder, manifest)
    assert not manifest.exists()
    run_simulate(settings(), folder, manifest)
    assert contents(folder) == contents(small / "raw")
    assert manifest.read_bytes() == (small / "simulate.json").read_bytes()


def test_another_seed_makes_other_pictures_and_another_layout(small: Path, tmp_path: Path) -> None:
    run_simulate(settings(seed=1), tmp_path / "raw", tmp_path / "simulate.json")
    ours, other = contents(small / "raw"), contents(tmp_path / "raw")
    assert ours["annotation.csv"] != other["annotation.csv"]
    damaged = {
        *read_manifest(small / "simulate.json")["damaged"],
        *read_manifest(tmp_path / "simulate.json")["damaged"],
    }
    assert all(ours[name] != other[name] for name in ours.keys() & other.keys() - damaged)


def test_a_picture_depends_on_its_place_only_and_not_on_how_many_others_there_are(small: Path, tmp_path: Path) -> None:
    run_simulate(settings(SMALL.model_copy(update={"plates": 1, "broken_files": 0})), tmp_path / "raw", tmp_path / "m")
    ours, other = contents(small / "raw"), contents(tmp_path / "raw")
    damaged = read_manifest(small / "simulate.json")["damaged"]
    shared = [name for name in other if name.endswith(".tif") and name not in damaged]
    assert len(shared) > 20
    assert all(ours[name] == other[name] for name in shared)


def test_plates_of_others_are_not_touched_although_their_names_are_numbers(tmp_path: Path) -> None:
    picture = tmp_path / "raw" / "24277" / "A01_s1_w1.tif"
    picture.parent.mkdir(parents=True)
    picture.write_text("precious")
    with pytest.raises(PhenoloomError, match=r"holds '24277/A01_s1_w1.tif', which no simulation made"):
        run_simulate(settings(SMALL), tmp_path / "raw", tmp_path / "manifest.json")
    assert picture.read_text() == "precious"


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(PhenoloomError, match=r"holds 'thesis.tex', which no simulation made"):
        run_simulate(settings(), tmp_path, tmp_path.parent / "simulate.json")
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"cells": 100}, "`simulate.cells` is 100"),
        ({"broken_files": 17}, "the study has 16 images"),
        ({"wells": 2000}, "the largest plate has 1536"),
    ],
)
def test_a_study_that_cannot_be_made_is_refused(tmp_path: Path, change: dict[str, int], complaint: str) -> None:
    with pytest.raises(PhenoloomError, match=complaint):
        run_simulate(settings(SMALL.model_copy(update=change)), tmp_path / "raw", tmp_path / "simulate.json")


@pytest.mark.parametrize("wells", [4, 10, 16, 96, 384])
def test_phenotypes_are_balanced_and_scattered_over_a_plate(wells: int) -> None:
    layout = lay_out_plate(Simulation(wells=wells), 0, 0)
    counts = Counter(well.phenotype for well in layout)
    assert len({well.name for well in layout}) == wells
    assert {counts[p] for p in PHENOTYPES[1:]} == {wells // 4}
    assert counts["control"] == wells // 4 + wells % 4
    assert {well.compound for well in layout if well.phenotype == "control"} == {"DMSO"}
    if wells == 96:
        rows = {well.name[0] for well in layout if well.phenotype == "shape"}
        assert len(rows) > 4


def test_the_demo_study_makes_a_sheet_of_what_was_simulated(repository: Path, tmp_path: Path) -> None:
    study = load_study("demo", repository / "config")
    rules = RuleSettings("demo", study, load_config({"results": str(tmp_path)}), repository / "config")
    few = SMALL.model_copy(update={"broken_files": 1})
    run_simulate(settings(few), tmp_path / "demo" / "raw", tmp_path / "demo" / "simulate.json")
    run_sheet(rules.sheet(), tmp_path / "demo" / "sheet.parquet")
    sheet = pd.read_parquet(tmp_path / "demo" / "sheet.parquet")
    assert len(sheet) == 16
    assert sheet.groupby("plate")["label"].value_counts().tolist() == [2] * 8
    assert sheet.groupby("shard")["plate"].nunique().tolist() == [2]
    assert sheet["files"].map(len).eq(3).all()
