"""Section on the data: samples, classes, counts, and what was left out."""

from __future__ import annotations

from collections import Counter

from ...tiles.polarity import polarity_sentence
from ..numbers import amount, count, percent
from ..results import Results
from ..table import Cell, Column, PageTable, number, text
from .base import PageSection, ReportData, missing
from .samples import sample_gallery

QUARANTINE_ROWS = 200
TALL = 24
"""Number of classes above which their table scrolls in a frame of its own."""

STEP_NAMES = {
    "sheet": "sheet of images",
    "objects": "table of objects",
    "convert": "tile store",
    "contours": "contours",
    "distances": "distance matrices",
    "index": "index",
    "folds": "folds",
}


def section(data: ReportData) -> PageSection:
    """Return the section on the data."""
    results = data.results
    content = {
        "gallery": sample_gallery(results, data.settings.report.sample_tiles, data.settings.seed),
        "channels": results.channels,
        "polarity": polarity(results),
        "pixel_size_um": results.convert_settings.get("pixel_size_um"),
        "classes": classes(results),
        "counts": expected_and_found(results),
        "quarantine": quarantine(results),
        "losses": losses(results),
        "rejected": rejected(results),
    }
    reasons = {
        "gallery": "No samples: this study has neither tiles nor contours.",
        "classes": f"No classes: {results.fold_facts.get('unscored', 'the study is not split into folds')}.",
        "quarantine": "Quarantine is empty: every image could be read.",
        "losses": "No object, tile or image was lost before the index.",
        "rejected": "No object or tile was left out.",
    }
    return PageSection("data", "The data", content, missing(content, reasons))


def polarity(results: Results) -> str | None:
    """Return the sentence on whether objects are brighter or darker than the field; None where no threshold says it."""
    facts = results.manifests.get("convert", [{}])[0].get("polarity")
    return polarity_sentence(facts) if facts else None


def expected_and_found(results: Results) -> PageTable | None:
    """Return the counts that each step expected and found, summed over shards."""
    rows = []
    for step, manifests in results.manifests.items():
        expected: Counter[str] = Counter()
        found: Counter[str] = Counter()
        for manifest in manifests:
            expected.update(manifest["expected"])
            found.update(manifest["found"])
        for what in dict.fromkeys([*expected, *found]):
            name = what.replace("_", " ")
            rows.append(_counts_row(STEP_NAMES.get(step, step), name, expected.get(what), found.get(what)))
    columns = [
        Column("step"),
        Column("counted"),
        Column("expected", True),
        Column("found", True),
        Column("missing", True),
    ]
    return PageTable("Expected and found counts, summed over shards", columns, rows) if rows else None


def _counts_row(step: str, counted: str, expected: int | None, found: int | None) -> list[Cell]:
    gap = expected - found if expected is not None and found is not None else None
    cells = [number(count(expected), expected), number(count(found), found), number(count(gap), gap, strong=bool(gap))]
    return [text(step), text(counted), *cells]


def classes(results: Results) -> PageTable | None:
    """Return the classes, the largest first, with their units, groups and folds; dropped classes come last."""
    facts = results.fold_facts
    if results.split is None or not facts.get("classes"):
        return None
    split, state = results.split.tested(), "not scored" if results.split.unscored else "scored"
    units = {label: split.among([label]) for label in split.classes}
    folds_with = {label: len(of.names) for label, of in units.items()}
    groups = {label: len(set(of.groups)) for label, of in units.items()}
    total = sum(facts["classes"].values())
    rows = []
    for label, support in sorted(facts["classes"].items(), key=lambda item: (-item[1], item[0])):
        share = support / total
        cells = [number(count(support), support), number(percent(share), share, shade=share)]
        cells += [number(count(by.get(label)), by.get(label)) for by in (groups, folds_with)]
        rows.append([text(label), *cells, text(state)])
    for label, support in sorted(facts.get("dropped", {}).items(), key=lambda item: (-item[1], item[0])):
        blank = Cell("–", sort=-1.0)
        rows.append([text(label), number(count(support), support), blank, blank, blank, text("dropped", strong=True)])
    unit = facts.get("unit", "unit")
    columns = [
        Column("class"),
        Column(f"{unit}s", True, "units with this label"),
        Column("share", True, "of the units with a label"),
        Column("groups", True, "groups with this class; a group never sits in two folds"),
        Column("folds", True, "folds that test this class"),
        Column("state"),
    ]
    return PageTable(f"Classes, by number of {unit}s", columns, rows, tall=len(rows) > TALL)


def quarantine(results: Results) -> PageTable | None:
    """Return the images that could not be used, with the step and the reason."""
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
    columns = [Column("image"), Column("step"), Column("reason", wide=True), Column("file")]
    return PageTable(f"Quarantine: {amount(len(table), 'row')}", columns, rows, note, tall=True)


def rejected(results: Results) -> PageTable | None:
    """Return how many objects and tiles were left out, by step and reason."""
    counts: Counter[tuple[str, str]] = Counter()
    for step, manifests in results.manifests.items():
        # The index repeats the sum of what the shards rejected.
        for manifest in manifests if step != "index" else []:
            counts.update({(step, reason): n for reason, n in manifest["rejected"].items() if n})
    rows = [
        [text(reason), text(STEP_NAMES.get(step, step)), number(count(n), n)]
        for (step, reason), n in sorted(counts.items(), key=lambda item: -item[1])
    ]
    columns = [Column("reason"), Column("step"), Column("number", True)]
    return PageTable("Objects and tiles left out on purpose, by reason", columns, rows) if rows else None


def losses(results: Results) -> PageTable | None:
    """Return what was lost before the index, by reason and class."""
    stated = results.manifests.get("index", [{}])[0].get("losses", {})
    rows = []
    for loss in stated.get("reasons", []):
        every = [("all", (loss["lost"], loss["of"])), *loss["classes"].items()]
        for name, (lost, of) in every:
            share = lost / of if of else 0.0
            cells = [number(count(lost), lost), number(count(of), of), number(percent(share), share, shade=share)]
            rows.append([text(loss["reason"]), text(name, strong=name == "all"), *cells])
    columns = [
        Column("reason"),
        Column("class"),
        Column("lost", True),
        Column("of", True, "of specks all that masks hold, of other objects those that are no specks"),
        Column("share", True),
    ]
    return PageTable("What was lost, by reason and class", columns, rows, tall=len(rows) > TALL) if rows else None
