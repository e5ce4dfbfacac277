"""The arrays of all shards of a study as one: they differ in the number of rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import PhenoloomError

Stated = dict[str, Any]


def merged_arrays(paths: Sequence[Path], manifests: Sequence[Stated]) -> dict[str, dict[str, Any]]:
    """Describe the arrays of all shards as one; refuse shards that differ in more than their number of rows."""
    # The dtype of a shard without rows is a default, since no image of it was read: compare with one that has rows.
    start = next((i for i, manifest in enumerate(manifests) if _filled(manifest)), 0)
    first = manifests[start]
    for path, manifest in zip(paths, manifests, strict=True):
        for what in ("stage", "study", "channels"):
            if manifest.get(what) != first.get(what):
                raise PhenoloomError(
                    f"{path} has {what} {manifest.get(what)!r}, {paths[start]} has {first.get(what)!r}; all shards of "
                    f"a study must agree: rerun the older one"
                )
        ours, other = ((m.get("polarity") or {}).get("polarity") for m in (manifest, first))
        if ours != other:
            raise PhenoloomError(
                f"{path} takes objects as {ours}, {paths[start]} as {other}; one of them was made while images were "
                "missing: say which is right in `source.polarity`"
            )
        for name in sorted(first["arrays"].keys() | manifest["arrays"].keys()) if _filled(manifest) else ():
            ours, other = _form(manifest["arrays"].get(name)), _form(first["arrays"].get(name))
            if ours != other:
                raise PhenoloomError(
                    f"{path} holds {name} of {ours}, {paths[start]} of {other}; all images of a study must have one "
                    f"dtype and shape: check the raw data of that shard"
                )
    return {
        name: {**array, "shape": [sum(_length(m, name) for m in manifests), *array["shape"][1:]]}
        for name, array in first["arrays"].items()
    }


def _form(array: dict[str, Any] | None) -> str:
    return f"dtype {array['dtype']} and shape (n, {', '.join(map(str, array['shape'][1:]))})" if array else "nothing"


def _filled(manifest: Stated) -> bool:
    return any(_length(manifest, name) for name in manifest["arrays"])


def _length(manifest: Stated, name: str) -> int:
    return int(manifest["arrays"][name]["shape"][0]) if name in manifest["arrays"] else 0
