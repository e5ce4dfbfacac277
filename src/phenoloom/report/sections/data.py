"""Tables of what the data is: counts, classes, quarantine, rejections."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from ..numbers import amount, count, percent
from ..results import Results
from ..table import Cell, Column, Table, number, text

QUARANTINE_ROWS = 200
TALL = 24
"""Classes beyond which their table scrolls in a frame of its own."""

STAGE_NAMES = {
    "sheet": "sheet of images",
    "convert": "tile store",
    "contours": "contours",
    "distances": "distance matrices",
    "index": "index",
    "folds": "folds",
}


def expected_and_found(results: Results) -> Table | None:
    """Counts that each stage expected and found, summed over shards."""
    rows = []
    for stage, manifests in results.manifests.items():
        expected: Counter[str] = Counter()
        found: Counter[str] = Counter()
        for manifest in manifests:
            expected.update(manifest["expected"])
            found.update(manifest["found"])
        for what in dict.fromkeys([*expected, *found]):
            name = what.replace("_", " ")
            rows.append(_counts_row(STAGE_NAMES.get(stage, stage), name, expected.get(what), found.get(what)))
    columns = [
        Column("stage"),
        Column("what"),
        Column("expected", True),
        Column("found", True),
        Column("missing", True),
    ]
    return Table("Counts, expected against found, summed over shards", columns, rows) if rows else None


def _counts_row(stage: str, what: str, expected: int | None, found: int | None) -> list[Cell]:
    gap = expected - found if expected is not None and found is not None else None
    missing = number(count(gap), gap, strong=bool(gap))
    return [text(stage), text(what), number(count(expected), expected), number(count(found), found), missing]


def classes(results: Results) -> Table | None:
    """Classes by support: units, groups and plates; dropped classes are listed with their count."""
    facts = results.fold_facts
    if results.split is None or not facts.get("classes"):
        return None
    split = results.split.tested()
    units = {label: split.among([label]) for label in split.classes}
    folds_with = {label: len(of.names) for label, of in units.items()}
    groups = {label: len(set(of.groups)) for label, of in units.items()}
    total = sum(facts["classes"].values())
    rows = []
    for label, support in sorted(facts["classes"].items(), key=lambda item: (-item[1], item[0])):
        rows.append(
            [
                text(label),
                number(count(support), support),
                number(percent(support / total), support / total, shade=support / total),
                number(count(groups.get(label)), groups.get(label)),
                number(count(folds_with.get(label)), folds_with.get(label)),
                text("scored"),
            ]
        )
    for label, support in sorted(facts.get("dropped", {}).items(), key=lambda item: (-item[1], item[0])):
        blank = Cell("–", sort=-1.0)
        rows.append([text(label), number(count(support), support), blank, blank, blank, text("dropped", strong=True)])
    unit = facts.get("unit", "unit")
    columns = [
        Column("class"),
        Column(f"{unit}s", True, "units with this label"),
        Column("share", True, "of the scored units"),
        Column("groups", True, "groups that hold it; a group never sits in two folds"),
        Column("folds", True, "folds that test it"),
        Column("state"),
    ]
    return Table(f"Classes, by number of {unit}s", columns, rows, tall=len(rows) > TALL)


def quarantine(results: Results) -> Table | None:
    """Images that could not be used, with the stage and the reason."""
    table = results.quarantine
    if table is None or table.empty:
        return None
    shown = table.head(QUARANTINE_ROWS)
    rows = [
        [text(r["image_id"]), text(r["stage"]), text(r["reason"]), text(r["file"], code=True)]
        for _, r in shown.iterrows()
    ]
    rest = len(table) - len(shown)
    note = f"{amount(rest, 'more row')} in quarantine.tsv." if rest else ""
    columns = [Column("image"), Column("stage"), Column("reason", wide=True), Column("file")]
    return Table(f"Quarantine: {amount(len(table), 'row')}", columns, rows, note, tall=True)


def rejected(results: Results) -> Table | None:
    """Objects and tiles left out, by stage and reason."""
    counts: Counter[tuple[str, str]] = Counter()
    for stage, manifests in results.manifests.items():
        # The index repeats the sum of what the shards rejected.
        for manifest in manifests if stage != "index" else []:
            counts.update({(stage, reason): n for reason, n in manifest["rejected"].items() if n})
    rows = [
        [text(reason), text(STAGE_NAMES.get(stage, stage)), number(count(n), n)]
        for (stage, reason), n in sorted(counts.items(), key=lambda item: -item[1])
    ]
    columns = [Column("reason"), Column("stage"), Column("number", True)]
    return Table("Objects and tiles left out on purpose, by reason", columns, rows) if rows else None


def facts(results: Results) -> list[tuple[str, str]]:
    """The study in numbers: label and value."""
    index, sheet = results.index, results.sheet
    found = []
    if sheet is not None and not _outlines(results):
        found.append(("images", count(results.image_count)))
    if index is not None:
        found.append(("tiles" if results.stores("tiles") else "objects", count(len(index))))
    source = sheet if sheet is not None else index
    if source is not None:
        found += [(f"{word}s", count(n)) for word in ("plate", "well") if (n := _distinct(source, word))]
    if results.split is not None:
        used = results.split.tested()
        found.append((f"{used.unit}s scored", count(len(used.units))))
        found.append(("groups", count(len(set(used.groups)))))
    return found


def _outlines(results: Results) -> bool:
    """Whether the study has outlines in place of images, each its own row of the sheet."""
    return any(m["settings"].get("source") == "outlines" for m in results.manifests.get("contours", []))


def _distinct(table: pd.DataFrame, column: str) -> int:
    if column not in table:
        return 0
    # "B03" of two plates are two wells.
    keys = ["plate", "well"] if column == "well" and "plate" in table else [column]
    return len(table.dropna(subset=[column])[keys].drop_duplicates())
