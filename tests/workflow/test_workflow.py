"""The whole pipeline, end to end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.helpers.workspace import STUDY, TINY, Workspace, new_workspace

from phenoloom.artifacts.manifest import read_manifest


def results(workspace: Workspace) -> Path:
    return workspace.folder / "results" / STUDY


def test_a_study_runs_from_raw_images_to_a_report(finished: Workspace) -> None:
    assert (results(finished) / "report" / "index.html").stat().st_size > 10_000
    assert (finished.folder / "results" / "index.html").exists()
    scores = pd.read_parquet(results(finished) / "scores.parquet")
    without_images = {"position only", "plate only", "plate and position"}
    assert set(scores["representation"]) == set(TINY["representations"]) | without_images
    assert set(scores["fold"]) == {0, 1}


def test_every_file_that_was_damaged_is_in_the_quarantine(finished: Workspace) -> None:
    damaged = read_manifest(results(finished) / "raw" / "simulate.json")["damaged"]
    quarantine = pd.read_csv(results(finished) / "quarantine.tsv", sep="\t", dtype=str)
    assert len(damaged) == TINY["source"]["simulate"]["broken_files"]
    assert all(file in listed for file, listed in zip(sorted(damaged), sorted(quarantine["file"]), strict=True))
    assert quarantine["reason"].str.len().min() > 20


def test_deleting_an_early_result_and_running_again_gives_the_same_bytes(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.clone(tmp_path / "work")
    kept = {
        path: (results(workspace) / path).read_bytes()
        for path in ("tiles/0000.json", "index.parquet", "folds.parquet", "embeddings/vqvae/fold-0.parquet")
    }
    weights = results(workspace) / "models" / "vqvae-resnet18" / "fold-0" / "model.safetensors"
    kept_weights = weights.read_bytes()
    (results(workspace) / "tiles" / "0000.json").unlink()
    workspace.snakemake()
    assert weights.read_bytes() == kept_weights
    assert {path: (results(workspace) / path).read_bytes() for path in kept} == kept


def test_names_with_spaces_brackets_quotes_dollars_and_unicode_go_through(tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "it's a [folder] with $HOME & µm")
    study = {**TINY, "title": "<b>µ & \"quotes\" 'single' $HOME</b>"}
    study = {**study, "representations": {"intensity": {"descriptors": "intensity"}}, "models": {}}
    workspace.write_study(study)
    (workspace.folder / "config" / "config.yaml").write_text(f'studies: [{STUDY}]\nresults: "re [s]ults $x"\n')
    workspace.snakemake()
    page = (workspace.folder / "re [s]ults $x" / STUDY / "report" / "index.html").read_text()
    assert "&lt;b&gt;µ &amp;" in page
    assert "<b>µ" not in page


def test_commands_run_in_the_container_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = new_workspace(tmp_path / "work")
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    shim = f"""#!/bin/sh
echo "$@" >> {calls}
[ "$1" = --version ] && echo "apptainer version 1.3.4" && exit
while [ "$1" != bash ]; do shift; done
exec "$@"
"""
    (tools / "apptainer").write_text(shim)
    (tools / "apptainer").chmod(0o755)
    (workspace.folder / "image.sif").touch()
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    workspace.snakemake("--sdm", "apptainer", "--config", "container=image.sif", "--until", "sheet")
    ran = [line for line in calls.read_text().splitlines() if line.startswith("exec")]
    assert len(ran) == 2
    assert all("image.sif bash -c" in line and " phenoloom s" in line for line in ran)


def test_an_unknown_key_stops_the_workflow_with_the_nearest_valid_one(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "work")
    workspace.write_study({**TINY, "tiels": {"size": 64}})
    done = workspace.snakemake("--dry-run", check=False)
    assert done.returncode != 0
    assert "unknown key `tiels`; did you mean 'tiles'?" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "study", sorted(path.stem for path in (Path(__file__).parents[2] / "config" / "studies").glob("*.yaml"))
)
def test_every_study_of_the_project_can_be_planned(
    study: str, repository: Path, data_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(repository / "config", tmp_path / "config")
    planned = Workspace(tmp_path).planned("--config", f"studies=[{study}]", f"data_root={data_root}")
    assert planned >= {"sheet", "contours", "index", "folds", "pretrain", "embed", "classify", "report"}
    written = yaml.safe_load((tmp_path / "config" / "studies" / f"{study}.yaml").read_text())
    models = {entry["model"] for entry in written["representations"].values() if "model" in entry}
    assert {job.split(".")[0] for job in planned} >= {f"pretrain:{model}" for model in models}
    assert models
