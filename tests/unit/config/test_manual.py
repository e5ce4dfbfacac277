"""The generated parts of the manual."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenoloom.config.manual import filled, schemas, tables, write_manual
from phenoloom.core.errors import PhenoloomError


def test_the_manual_and_the_schemas_are_what_the_models_say(repository: Path) -> None:
    readme = (repository / "config" / "README.md").read_text(encoding="utf-8")
    assert filled(readme) == readme, "config/README.md has drifted from the models: run `make manual`"
    for name, text in schemas().items():
        path = repository / "config" / "schemas" / f"{name}.schema.json"
        assert path.read_text(encoding="utf-8") == text, f"{path} has drifted: run `make manual`"


def test_every_key_has_a_meaning() -> None:
    for table in tables().values():
        rows = [line for line in table.splitlines() if line.startswith("| `")]
        assert rows
        assert not [row for row in rows if row.endswith("|  |")]


def test_sections_that_two_models_share_are_listed_once() -> None:
    assert tables()["model"].count("**`training`**") == 1
    assert tables()["model"].count("**`objective`** with `name: vae`") == 2


def test_a_manual_without_its_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Configuration\n")
    with pytest.raises(PhenoloomError, match="must hold the lines '<!-- keys: config -->'"):
        write_manual(tmp_path)
