"""A configuration of one study and one model, written into a folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from phenoloom.config import Study, load_study

STUDY: dict[str, Any] = {
    "title": "A study",
    "licence": "CC0-1.0",
    "source": {"root": "raw", "files": "{plate}/{well}.tif", "channels": ["DNA"], "masks": {}},
    "tiles": {"mode": "objects", "size": 64},
    "shapes": {"points": 64},
    "representations": {"regionprops": {"descriptors": "regionprops"}, "vqvae": {"model": "vqvae"}},
}
MODEL: dict[str, Any] = {"view": "tiles", "objective": {"name": "vqvae"}}


def write_config(folder: Path) -> Path:
    """Write a folder of the configuration with the model `vqvae`, and return it."""
    (folder / "studies").mkdir()
    write_model(folder, MODEL)
    return folder


def write_model(config_dir: Path, model: dict[str, Any], name: str = "vqvae") -> None:
    """Write a model file."""
    (config_dir / "models").mkdir(exist_ok=True)
    (config_dir / "models" / f"{name}.yaml").write_text(yaml.safe_dump(model, sort_keys=False))


def load(config_dir: Path, study: dict[str, Any]) -> Study:
    """Write the study file `mine`, and load it."""
    (config_dir / "studies" / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return load_study("mine", config_dir)


def changed(*keys: str, value: Any) -> dict[str, Any]:
    """Return the study with another value under nested keys."""
    study = copy.deepcopy(STUDY)
    section = study
    for key in keys[:-1]:
        section = section.setdefault(key, {})
    section[keys[-1]] = value
    return study
