"""Manifests for tests, whose values come by keyword."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from phenoloom.artifacts.manifest import Manifest, write_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.rule_settings import Settings


def put_manifest(path: Path, stage: str, settings: Settings, **values: Any) -> None:
    """Write a manifest; values that are no fields of one become facts."""
    known = {field.name for field in fields(Manifest)}
    stated = {"expected": {}, "found": {}, "content": "0" * 32}
    stated |= {name: value for name, value in values.items() if name in known}
    facts = {name: value for name, value in values.items() if name not in known}
    write_manifest(path, Manifest(stage, Provenance.of(settings), facts=facts, **stated))
