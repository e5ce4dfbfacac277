"""YAML files: mappings that give each key once, read without running anything that a file asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenoloom.config.yaml_file import read_yaml
from phenoloom.core.errors import PhenoloomError


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("title: a\ntitle: b\n")
    with pytest.raises(PhenoloomError, match=r"'title' is given twice \(line 2\)"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "a: [", "!!python/object:os.system {}", "a: 2024-02-30", "? [a, b]\n: c", "a: !!int abc"]
)
def test_a_file_that_is_not_plain_yaml_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(PhenoloomError, match=r"bad\.yaml"):
        read_yaml(path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: Zürich".encode("latin-1"))
    with pytest.raises(PhenoloomError, match=r"latin\.yaml is not valid YAML"):
        read_yaml(path)


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: a\n")
    with pytest.raises(PhenoloomError, match=r"There is no file .*mien\.yaml; did you mean 'mine'\?"):
        read_yaml(tmp_path / "mien.yaml")


@pytest.mark.parametrize("text", [r'files: "{well:[A-H]\d\d}.tif"', r'files: "a\.tif"', r'files: "\xzz"', r'- "\s"'])
def test_backslashes_in_double_quotes_are_refused_with_the_cure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(PhenoloomError, match=r"study\.yaml is not valid YAML: .*line 1.* in single quotes"):
        read_yaml(path)


def test_other_mistakes_are_not_blamed_on_quotes(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("a: [1")
    with pytest.raises(PhenoloomError) as error:
        read_yaml(path)
    assert "single quotes" not in str(error.value)
