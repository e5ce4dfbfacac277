"""Nested mappings addressed by dotted keys such as `training.learning_rate`."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted key as nested mappings: `{"a.b": 1}` as `{"a": {"b": 1}}`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        inside = result
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = value
    return result


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` over it: mappings are merged key by key, and any other value is replaced."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], typing.cast(Mapping[str, Any], value)) if both else value
    return result
