"""Manifests: written last, whole or not at all, and the same for equal runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phenoloom.artifacts.manifest import Manifest, file_digest, read_manifest, refuse_too_many, write_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.rule_settings import IndexSettings
from phenoloom.core.errors import PhenoloomError

SETTINGS = IndexSettings(study="mine", algorithm=1)


def write(path: Path) -> None:
    write_manifest(
        path, Manifest("index", Provenance.of(SETTINGS), expected={"images": 2}, found={"images": 1}, content="00")
    )


def test_two_equal_runs_write_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.json")
    write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_manifest_says_what_was_asked_and_what_was_found(tmp_path: Path) -> None:
    write(tmp_path / "a.json")
    manifest = read_manifest(tmp_path / "a.json")
    assert manifest["settings_sha256"] == SETTINGS.digest()
    assert (manifest["expected"], manifest["found"]) == ({"images": 2}, {"images": 1})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, "There is no manifest"), ("{", "is not a manifest"), (json.dumps({"schema": 0}), "manifest schema 0")],
)
def test_a_result_without_a_good_manifest_does_not_exist(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PhenoloomError, match=sentence):
        read_manifest(path)


def test_a_digest_depends_on_content_and_order(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"2")
    assert file_digest([a, b]) != file_digest([b, a])
    assert file_digest([a, b]) == file_digest([a, b])


def test_too_many_quarantined_images_fail_with_the_worst_reasons() -> None:
    rows = [{"image_id": str(i), "file": f"{i}.tif", "reason": "is empty"} for i in range(2)]
    refuse_too_many(rows, 20, 0.1, "shard 0000")
    with pytest.raises(PhenoloomError, match=r"2 of 19 images .*2 x is empty.* First: 0\.tif"):
        refuse_too_many(rows, 19, 0.1, "shard 0000")
