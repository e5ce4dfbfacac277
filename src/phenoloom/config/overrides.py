"""`config.yaml` with what the `KEY=VALUE` pairs of a command line replace, as Snakemake's `--config` means them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import PhenoloomError
from .load import load_config
from .run import Config
from .yaml_file import read_yaml

_KEY = re.compile(r"[a-zA-Z_][\w-]*\w")
_TYPES: tuple[Callable[[str], Any], ...] = (
    int,
    float,
    {"True": True, "False": False}.__getitem__,
    lambda text: yaml.load(text, Loader=yaml.BaseLoader),
)
"""Snakemake's order; what fits none stays text."""


def read_config(config_dir: Path, pairs: Sequence[str] = ()) -> Config:
    """Read and validate `config.yaml`.

    Args:
        config_dir: Folder of the configuration.
        pairs: `KEY=VALUE` texts that replace its keys for one command; an empty value is null.

    Raises:
        PhenoloomError: The file or a pair cannot be read, or names no key.
    """
    path = config_dir / "config.yaml"
    return load_config({**read_yaml(path), **parsed(pairs)}, f"{path} with --config" if pairs else str(path))


def parsed(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values of `KEY=VALUE` texts by key; the last of several with one key counts."""
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise PhenoloomError(
                f"--config takes pairs such as data_root=/data or studies=[demo], found {pair!r}; write other words "
                "before --config"
            )
        values[key] = _value(text.strip("'\""))
    return values


def _value(text: str) -> Any:
    if text == "":
        return None
    for parse in _TYPES:
        try:
            return parse(text)
        except (ValueError, KeyError, yaml.YAMLError):
            continue
    return text
