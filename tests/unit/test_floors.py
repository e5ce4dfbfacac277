"""The plan of imports as a contract: which package may import which, and what steps must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "config": {"core"},
    "artifacts": {"core", "config"},
    "nets": {"core"},
    "augment": {"nets.precision", "config"},
    "images": {"core", "config"},
    "study": {"core", "config", "artifacts", "images"},
    "splits": {"core", "config", "artifacts"},
    "objectives": {"nets", "augment", "config", "core"},
    "tiles": {"images", "study.shards", "study.points", "artifacts", "config", "core"},
    "shapes": {"tiles.store", "images", "study", "artifacts", "config", "core"},
    # The domains prepare and augment batches of their kind of items.
    "data": {"tiles.store", "shapes.store", "augment", "nets.cyclic_form", "artifacts", "config", "core"},
    "models": {"data", "augment", "objectives", "nets", "splits", "artifacts", "config", "core"},
    "embedding": {
        *("models", "data", "splits", "shapes", "study", "tiles", "images", "objectives", "nets", "augment"),
        *("artifacts", "config", "core"),
    },
    "evaluation": {"embedding.table", "splits", "artifacts", "config", "core"},
    "training": {
        *("models", "data", "splits", "objectives", "nets", "augment"),
        *("artifacts", "config", "core"),
    },
    # The reasons for which objects are left out are words of `images`.
    "report": {
        *("evaluation", "embedding.table", "splits", "shapes", "tiles", "images.objects"),
        *("artifacts", "config", "core"),
    },
    # What would happen to a study is said by the code of the steps themselves.
    "check": {"tiles", "shapes", "splits", "study", "images", "artifacts", "config", "core"},
    "cluster": {"models", "splits", "study", "shapes.descriptors", "artifacts", "config", "core"},
}
"""Package -> packages and modules that its modules may import; `cli` may import all of them, inside its functions."""


def modules(package: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name without `phenoloom.`."""
    paths = sorted(package.rglob("*.py"))
    return {".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """Modules of the package that a module imports, and whether at its top level (not inside a function)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = parts[: len(parts) - node.level + 1]
            elif (node.module or "").split(".")[0] == "phenoloom":
                base = []
            else:
                continue
            target = [*base, *(node.module or "").removeprefix("phenoloom").strip(".").split(".")]
            module = ".".join(part for part in target if part)
            for alias in node.names:
                inner = f"{module}.{alias.name}".strip(".")
                yield (inner if inner in known else module), id(node) in top


@pytest.fixture(scope="module")
def package(repository: Path) -> Path:
    return repository / "src" / "phenoloom"


def test_every_package_imports_only_what_the_plan_allows(package: Path) -> None:
    known = modules(package)
    wrong = []
    for name, path in known.items():
        own = name.split(".")[0]
        if own not in MAY_IMPORT:
            continue
        for target, _ in imports(name, path, known):
            allowed = {own, *MAY_IMPORT[own]}
            if not any(target == module or target.startswith(f"{module}.") for module in allowed):
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_every_package_has_its_line_in_the_plan(package: Path) -> None:
    assert {path.parent.name for path in package.glob("*/__init__.py")} == {*MAY_IMPORT, "cli"}


def test_the_plan_has_no_circle() -> None:
    needs = {name: {target.split(".")[0] for target in targets} for name, targets in MAY_IMPORT.items()}
    while needs:
        free = {name for name, targets in needs.items() if not targets & needs.keys()}
        assert free, f"a circle among {', '.join(sorted(needs))}"
        needs = {name: targets for name, targets in needs.items() if name not in free}


def test_modules_import_each_other_in_no_circle(package: Path) -> None:
    known = modules(package)
    needs = {
        name: {target for target, top in imports(name, path, known) if top} - {name} for name, path in known.items()
    }
    while needs:
        free = {name for name, targets in needs.items() if not targets & needs.keys()}
        assert free, f"a circle among {', '.join(sorted(needs))}"
        needs = {name: targets for name, targets in needs.items() if name not in free}


def test_commands_load_their_packages_inside_their_functions(package: Path) -> None:
    light = {"core", "cli", ""}
    known = modules(package)
    wrong = [
        f"{name} imports {target}"
        for name, path in known.items()
        if name.split(".")[0] == "cli"
        for target, top in imports(name, path, known)
        if top and target.split(".")[0] not in light
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("report.report", "torch"),
        ("evaluation.classify", "torch"),
        ("check.command", "torch"),
        ("cluster.status.command", "torch"),
        ("embedding.embed", "torch"),
        ("embedding.embed", "phenoloom.images.tiff"),
        ("embedding.inference", "phenoloom.images.tiff"),
        ("embedding.inference", "pytorch_lightning"),
        ("embedding.shape_space", "phenoloom.images.tiff"),
        ("embedding.collect", "phenoloom.images.tiff"),
        ("embedding.collect", "torch"),
        ("embedding.embed", "phenoloom.splits.stratify"),
    ],
)
def test_a_step_does_not_load_what_it_has_no_use_for(module: str, unwanted: str) -> None:
    code = f"import sys, phenoloom.{module}; sys.exit({unwanted!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
