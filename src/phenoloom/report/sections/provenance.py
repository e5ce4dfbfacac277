"""Section on provenance: versions, and digests of the settings of every stored result."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...artifacts.provenance import code_commit
from ...config.rule_settings import ReportSettings
from ..numbers import MISSING, count
from ..results import Results, parquet_facts
from ..steps import STEPS
from ..table import Cell, Column, PageTable, number, text
from .base import PageSection, ReportData

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "zarr",
    "scikit-image",
    "scikit-learn",
    "torch",
    "pytorch-lightning",
    "anndata",
    "snakemake",
)


def section(data: ReportData) -> PageSection:
    """Return the section on provenance."""
    facts = {k: v for k, v in data.results.fold_facts.items() if k in ("scheme", "count", "group", "unit")}
    content = {
        "folds": {**facts, "seed": data.settings.seed},
        "versions": versions(),
        "digests": digests(data.results, data.settings),
        "settings": json.dumps(data.settings.model_dump(mode="json"), indent=1, ensure_ascii=False),
    }
    return PageSection("provenance", "Provenance", content, [])


def versions() -> PageTable:
    """Return the versions of phenoloom, of Python and of the libraries that influence numbers."""
    found = [("phenoloom", version("phenoloom")), ("commit", code_commit() or MISSING)]
    found += [("Python", platform.python_version()), *((name, version(name)) for name in LIBRARIES)]
    rows = [[text(name), text(value, code=True)] for name, value in found]
    return PageTable("Versions that wrote this report", [Column("name"), Column("version")], rows, sortable=False)


def digests(results: Results, settings: ReportSettings) -> PageTable:
    """Return the SHA-256 of the settings of each stored result, and the code that made it."""
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    for step, facts in sorted(_stored(results), key=lambda item: STEPS.index(item[0])):
        keys = ("part", "settings_sha256", "phenoloom", "commit")
        part, digest, release, commit = (str(facts.get(key) or "") for key in keys)
        counts[(step, part, digest, release, commit)] += 1
    rows = [
        [text(step), text(part), number(count(n), n), _short(digest), text(release or MISSING), _short(commit)]
        for (step, part, digest, release, commit), n in counts.items()
    ]
    rows.append([text("report"), text(""), number("1", 1), _short(settings.digest()), *_this_code()])
    names = ("step", "of", "settings (sha256)", "phenoloom", "commit")
    columns = [Column(names[0]), Column(names[1]), Column("files", True), *(Column(name) for name in names[2:])]
    return PageTable("Settings and code of every stored result", columns, rows, tall=True)


def _stored(results: Results) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the step of each stored result and what the result states about itself."""
    folder = results.folder
    for step, manifests in results.manifests.items():
        yield from ((step, manifest) for manifest in manifests)
    yield from (("pretrain", {**one.card, "part": f"{one.model}, {one.split}"}) for one in results.models)
    yield from (("describe", parquet_facts(path)) for path in folder.descriptors.tables())
    if "folds" not in results.manifests:
        yield "folds", parquet_facts(folder.folds)
    yield from (("embed", _facts(path, path.parent.name)) for path in folder.embeddings.tables())
    yield from (("classify", _facts(path, path.stem)) for path in folder.all_representation_scores())
    for transfer in folder.transfers():
        yield from (("transfer_embed", _facts(path, path.parent.name)) for path in transfer.embeddings.tables())
        yield from (("transfer", _facts(path, path.stem)) for path in transfer.tables())
    if folder.audit.exists():
        yield "audit", parquet_facts(folder.audit)
    yield "compare", parquet_facts(folder.comparisons)
    if results.maps is not None:
        yield "collect", results.maps.provenance


def _facts(path: Path, part: str) -> dict[str, Any]:
    return {**parquet_facts(path), "part": part}


def _this_code() -> list[Cell]:
    return [text(version("phenoloom")), _short(code_commit() or "")]


def _short(digest: str) -> Cell:
    return Cell(digest[:12] or MISSING, title=digest, code=True)
