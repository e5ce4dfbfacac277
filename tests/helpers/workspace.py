"""Folders in which Snakemake runs the project's workflow on a tiny simulated study or on the demo."""

from __future__ import annotations

import copy
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from phenoloom.config import Config, RuleSettings, Study

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY = "tiny"

TINY: dict[str, Any] = {
    "title": "Tiny simulated study",
    "licence": "CC0-1.0",
    "seed": 0,
    "shards": 2,
    "max_rejected_fraction": 0.2,
    "source": {
        "simulate": {"plates": 2, "wells": 8, "fields": 1, "cells": 6, "image_size": 224, "broken_files": 1},
        "files": "{plate}/{well}_s{field}_{channel}.tif",
        "channels": {"DNA": "dna", "cell body": "body", "protein": "protein"},
        "table": {"path": "annotation.csv", "join": {"plate": "Plate", "well": "Well"}},
        "columns": {"label": "Phenotype"},
        "masks": {"channel": "cell body", "split_distance_px": 20},
    },
    "tiles": {"mode": "objects", "size": 96},
    "shapes": {"points": 32, "store_distances": True},
    "folds": {"count": 2, "group": "well"},
    "models": {
        "vqvae-resnet18": {
            "width": 4,
            "input_size": 32,
            "latent": 16,
            "objective": {"codes": 16, "code_dim": 4},
            "training": {"epochs": 1, "warmup_epochs": 0, "batch_size": 32, "threads": 1, "precision": "float32"},
        },
        "shape-ae": {
            "width": 4,
            "latent": 8,
            "training": {"epochs": 1, "warmup_epochs": 0, "batch_size": 32, "threads": 1, "precision": "float32"},
        },
    },
    "representations": {
        "regionprops": {"descriptors": "regionprops"},
        "intensity": {"descriptors": "intensity"},
        "vqvae": {"model": "vqvae-resnet18"},
        "vqvae-untrained": {"model": "vqvae-resnet18", "untrained": True},
        "shape-ae": {"model": "shape-ae"},
        "shape-and-props": {"concatenate": ["shape-ae", "regionprops"]},
    },
    "classify": {"unit": "object", "forest_trees": 10},
    "report": {"map_points": 200},
}


def _plan(folder: Path, command: list[str], log: Path) -> None:
    import snakemake.cli  # takes a second

    os.chdir(folder)
    with log.open("w") as file:
        # pytest has put objects of its own in the place of both.
        sys.stdout = sys.stderr = file
        snakemake.cli.main(command)


@dataclass
class Workspace:
    """A folder with `config/` and `results/` in which snakemake runs."""

    folder: Path

    def write_study(self, study: dict[str, Any], name: str = STUDY) -> None:
        """Write one study file and make it the only one that runs."""
        studies = self.folder / "config" / "studies"
        studies.mkdir(parents=True, exist_ok=True)
        (studies / f"{name}.yaml").write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True))
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump({"studies": [name]}))

    def write_studies(self, studies: dict[str, dict[str, Any]], run: list[str]) -> None:
        """Write several study files, and make those of `run` the ones that run."""
        for name, study in studies.items():
            self.write_study(study, name)
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump({"studies": run}))

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run snakemake on the project's workflow; with `check`, its output is in the failure."""
        command = ["snakemake", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"), "--cores", "2", *arguments]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=self.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-12000:]}")
        return done

    def planned(self, *arguments: str) -> set[str]:
        """Jobs that would run: `rule` and `rule:value` for every wildcard value other than the study."""
        jobs: set[str] = set()
        for block in re.split(r"\n(?= *\[)", self.dry_run(*arguments)):
            rule = re.search(r"^ *(?:local)?rule (\w+):", block, re.MULTILINE)
            if rule and rule[1] != "all":
                jobs.add(rule[1])
                wildcards = re.search(r"^ +wildcards: (.*)$", block, re.MULTILINE)
                pairs = [pair.split("=", 1) for pair in wildcards[1].split(", ")] if wildcards else []
                jobs |= {f"{rule[1]}:{value}" for name, value in pairs if name != "study"}
        return jobs

    def dry_run(self, *arguments: str) -> str:
        """Output of a dry run in a fork of this process: importing Snakemake takes longer than planning."""
        log = self.folder / "dry-run.log"
        command = ["--snakefile", str(REPOSITORY / "workflow" / "Snakefile"), "--cores", "2", "--dry-run", *arguments]
        child = multiprocessing.get_context("fork").Process(target=_plan, args=(self.folder, command, log))
        child.start()
        child.join()
        if child.exitcode:
            pytest.fail(f"snakemake {' '.join(command)}\n{log.read_text()[-6000:]}")
        return log.read_text()

    def copy(self, folder: Path) -> Workspace:
        """A workspace with its own configuration over the same results, for dry runs."""
        folder.mkdir()
        shutil.copytree(self.folder / "config", folder / "config")
        for name in ("results", ".snakemake"):
            (folder / name).symlink_to(self.folder / name)
        return Workspace(folder)

    def clone(self, folder: Path) -> Workspace:
        """A workspace with its own copy of everything, for real runs; times are kept."""
        shutil.copytree(self.folder, folder, copy_function=shutil.copy2)
        return Workspace(folder)


def new_workspace(folder: Path) -> Workspace:
    """A workspace with the project's models and the tiny study."""
    (folder / "config").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "config" / "models", folder / "config" / "models")
    workspace = Workspace(folder)
    workspace.write_study(TINY)
    return workspace


def demo_workspace(folder: Path) -> Workspace:
    """A workspace with the demo study as the project configures it."""
    workspace = new_workspace(folder)
    workspace.write_study(yaml.safe_load((REPOSITORY / "config" / "studies" / "demo.yaml").read_text()), "demo")
    return workspace


def settings_of(model: str, overrides: dict[str, Any]) -> dict[str, str]:
    """Return the settings of the rules of a study that trains `model` alone."""
    study = copy.deepcopy(TINY)
    study["representations"] = {"learned": {"model": model}}
    study["models"] = {model: overrides}
    rules = RuleSettings(STUDY, Study.model_validate(study), Config(), REPOSITORY / "config")
    searched = rules.pretrain(model, "fold-0").search is not None
    return {
        **({name: getattr(rules, name)(model, "fold-0").canonical() for name in ("tune", "choose") if searched}),
        "convert": rules.convert().canonical(),
        "folds": rules.folds().canonical(),
        "pretrain": rules.pretrain(model, "fold-0").canonical(),
        "embed": rules.embed("learned", "fold-0").canonical(),
        "classify": rules.classify("learned").canonical(),
    }
