"""Section on transfer: encoders and probes that were trained on another study, tested on this one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...config.rule_settings import ReportSettings, TransferSource
from ...evaluation.compare import Compared, means_of
from ..numbers import MISSING, amount, count, listing, plus_minus, score
from ..results import Results
from ..score_names import SHUFFLED, probe_name
from ..scoreboard import Scoreboard
from ..table import Column, PageTable, number, text
from .base import PageSection, ReportData
from .scores import by_probe
from .training_sets import SIMILAR_RATIO


@dataclass(frozen=True)
class TransferContent:
    """Content of the page for one other study.

    Attributes:
        source: name of the other study.
        title: title of the other study.
        sentences: sample size, what was left out, and what is not comparable.
        tables: scores, one table for each metric.
        per_class: F1 by class.
    """

    source: str
    title: str
    sentences: list[str]
    tables: list[PageTable]
    per_class: PageTable


def section(data: ReportData) -> PageSection | None:
    """Return the section on transfer, or None if the study names no other study to be tested with."""
    sources = data.settings.transfer
    if not sources:
        return None
    shown = transfers(data.results, data.settings, data.scoreboard)
    absent = sorted(set(sources) - {one.source for one in shown})
    missing = [f"No scores of {name}: {_why_absent(data.results, name, sources[name])}." for name in absent]
    return PageSection("transfer", "Trained on another study", {"transfers": shown} if shown else {}, missing)


def _why_absent(results: Results, name: str, source: TransferSource) -> str:
    read = results.transferred(name, source.representations)
    return str(read[1]["unscored"]) if read and "unscored" in read[1] else "`transfer` has not run"


def transfers(results: Results, settings: ReportSettings, own: Scoreboard | None) -> list[TransferContent]:
    """Return the content for each other study that has scores.

    Args:
        results: results of this study.
        settings: settings of the report.
        own: scores of what was trained on this study.
    """
    found = []
    for name, source in settings.transfer.items():
        read = results.transferred(name, source.representations)
        if read is None:
            continue
        scores, facts = read
        if scores.empty:
            continue
        present = set(scores["representation"])
        families = {family: members for family, members in settings.families.items() if present >= set(members)}
        means = means_of(scores, Compared(list(settings.representations), settings.families))
        board = Scoreboard(scores, means, settings.representations, families)
        own_score = _OwnScore(own, list(facts["classes"]))
        over = f"train sets of {name}"
        tables = [
            by_probe(board, metric, over, own_score if metric == "macro_f1" else None) for metric in board.metrics
        ]
        sentences = [*_sizes(board, settings, name), *_left_out(settings, name, facts)]
        sentences += [*_windows(name, source), *_controls(board, name)]
        found.append(TransferContent(name, source.title, sentences, tables, _per_class(board, name, facts)))
    return found


@dataclass(frozen=True)
class _OwnScore:
    """Note on the score of the same representation and probe trained on this study, over the shared classes."""

    board: Scoreboard | None
    classes: list[str]

    def __call__(self, name: str, probe: str) -> str:
        if self.board is None:
            return ""
        rows = self.board.scores
        named = rows["representation"].isin(self.board.families.members(name))
        wanted = named & (rows["probe"] == probe) & (rows["metric"] == "f1")
        folds = rows[wanted & rows["class"].isin(self.classes)].groupby("fold")["value"].mean()
        return f"here {plus_minus(folds.mean(), folds.std())}" if len(folds) else ""


def _sizes(board: Scoreboard, settings: ReportSettings, name: str) -> Iterator[str]:
    units, groups, train = (board.count(metric) for metric in ("units_test", "groups_test", "units_train"))
    fitted = sorted(set(train.values()))
    span = count(fitted[0]) if len(fitted) == 1 else f"{count(fitted[0])} to {count(fitted[-1])}"
    yield (
        f"n = {amount(max(units.values()), settings.unit)} of {settings.study} in "
        f"{amount(max(groups.values()), 'group')}, tested with each of the {count(len(train))} train sets of {name} "
        f"({span} labelled {settings.unit}s)."
    )
    missing = {one: int(board.total(one, "units_missing") / len(train)) for one in board.names}
    if some := [f"{one} {count(units)}" for one, units in missing.items() if units]:
        yield f"Units of {settings.study} without a vector, which were not tested: {listing(some)}."


def _left_out(settings: ReportSettings, name: str, facts: dict[str, Any]) -> Iterator[str]:
    if facts["left_out"]:
        shown = [f"{label} ({there} there, {here} here)" for label, (there, here) in facts["left_out"].items()]
        yield f"Classes left out in both studies, because one of them has none or too few: {listing(shown)}."
    if facts["copies"]:
        yield (
            f"{amount(facts['copies'], settings.unit)} of {settings.study} left out: their groups contain images that "
            f"are pixel for pixel equal to an image of {name}."
        )
    if facts["groups_alike"]:
        yield (
            f"{amount(facts['groups_alike'], 'group')} of {settings.study} named like a group of {name}: if these are "
            "the same groups, scores on new groups may be lower."
        )
    if left_out := settings.transfer[name].left_out:
        shown = [f"{representation} ({reason})" for representation, reason in left_out.items()]
        yield f"Not tested: {listing(shown)}."


def _windows(name: str, source: TransferSource) -> Iterator[str]:
    (there, here), (there_um, here_um) = source.window_px, source.pixel_size_um
    in_um = ""
    if there_um is None or here_um is None:
        unknown = [study for study, size in ((name, there_um), ("this study", here_um)) if size is None]
        yield (
            f"The pixel size of {listing(unknown)} is not known, so lengths in px (region properties, size) may not be "
            "comparable."
        )
    else:
        if max(there_um, here_um) > SIMILAR_RATIO * min(there_um, here_um):
            yield (
                f"Pixels are {there_um:g} µm in {name} and {here_um:g} µm here: lengths in px (region properties, "
                "size) are not comparable."
            )
        in_um = f" ({there * there_um:.3g} and {here * here_um:.3g} µm)" if there and here else ""
    if there and here and there != here:
        yield (
            f"Windows are {there} px in {name} and {here} px here{in_um}; models see both resized to the same input "
            "size."
        )


def _controls(board: Scoreboard, name: str) -> Iterator[str]:
    """Yield a sentence on the representations that do no better than meaningless labels."""
    low = []
    for one in board.ranked():
        found, shuffled = board.mean(one), board.mean(one, SHUFFLED)
        if found and shuffled and found.value <= shuffled.value + shuffled.sd:
            low.append(one)
    if low:
        yield (
            f"No more than one sd above labels shuffled between groups of {name} ({probe_name(board.main_probe)}), so "
            f"nothing that was learned there is visible here: {listing(low)}."
        )


def _per_class(board: Scoreboard, name: str, facts: dict[str, Any]) -> PageTable:
    """Return units and F1 by class and representation; a class that was left out has units only."""
    names = board.ranked()
    by_name = {one: board.per_class(one) for one in names}
    rows = []
    for label, (there, here) in {**facts["classes"], **facts["left_out"]}.items():
        cells = [text(label), number(count(there), there), number(count(here), here)]
        for one in names:
            found = by_name[one].loc[label] if label in by_name[one].index else None
            value, sd = (float(found["mean"]), float(found["sd"])) if found is not None else (None, None)
            shown = MISSING if value is None else score(value)
            cells.append(number(shown, value, shade=value, title=f"{one}, {label}: {plus_minus(value, sd)}"))
        rows.append(cells)
    columns = [Column("class"), Column(f"in {name}", True, "labelled units"), Column("here", True, "labelled units")]
    columns += [Column(one, True) for one in names]
    caption = f"F1 by class, mean over the train sets of {name} ({probe_name(board.main_probe)})"
    note = "Classes without a score were left out; their units were not tested." if facts["left_out"] else ""
    return PageTable(caption, columns, rows, note)
