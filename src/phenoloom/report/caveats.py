"""What a careful reader must know before using the scores, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ..config.rule_settings import ReportSettings
from .audit import as_caveat, layout_finding
from .loss_caveats import by_class, differs, loss_caveats
from .numbers import amount, count, listing, percent, plus_minus, score, signed
from .object_caveats import object_caveats
from .results import Results
from .score_names import DUMMY, MAIN_METRIC, SHUFFLED, kind_of
from .scoreboard import Scoreboard
from .sections.training_sets import pixel_size_caveats, precision_caveats, supervision_caveats
from .seeds import SeedFamilies


def caveats(settings: ReportSettings, results: Results, scoreboard: Scoreboard | None) -> list[str]:
    """Return everything that limits the meaning of the scores, the most important first.

    Args:
        settings: settings of the report.
        results: results of the study.
        scoreboard: the scores, if there are any.
    """
    found = [*supervision_caveats(results.models), *precision_caveats(results.models)]
    if scoreboard is not None:
        finding = layout_finding(scoreboard, results.fold_facts.get("classes", {}))
        if finding and finding.matters:
            found.insert(0, as_caveat(finding, scoreboard))
        found += _of_models(scoreboard)
        found += _of_controls(scoreboard, results)
        found += _of_units(scoreboard, results)
    found += [*loss_caveats(results), *_of_data(results), *pixel_size_caveats(results.models)]
    entries = settings.representations
    names = [name for name, entry in entries.items() if kind_of(entry, entries) == "transductive"]
    if transductive := SeedFamilies(settings.families).merged(names):
        found.append(
            f"Transductive: the encoder of {listing(transductive)} was also trained on the images of the test groups "
            "(without their labels), so its scores may be better than on a new study."
        )
    return found


def _of_models(scoreboard: Scoreboard) -> Iterator[str]:
    descriptors = scoreboard.ranked("descriptors")
    for name in scoreboard.ranked("learned", "transductive"):
        twin = scoreboard.untrained_twin(name)
        rivals = [(descriptors[0], "the best descriptors")] if descriptors else []
        rivals += [(twin, "its own untrained encoder")] if twin else []
        for other, role in rivals:
            difference = scoreboard.difference(name, other)
            if difference is None:
                continue
            shown = signed(difference.value, difference.sd)
            within = difference.within
            if difference.value <= 0:
                yield f"{name} is no better than {role} ({other}): paired difference in macro-F1 {shown}."
            elif within:
                yield (
                    f"{name} is not shown to be better than {role} ({other}): {shown}; the difference is within one "
                    f"standard deviation of zero over the {listing(within)}."
                )


def _of_controls(scoreboard: Scoreboard, results: Results) -> Iterator[str]:
    classes = len(results.fold_facts.get("classes", {}))
    # If a unit may have several labels, the F1 of a guess depends on how frequent a label is; the average precision of
    # a guess is the frequency of the label, which is what the dummy scores.
    several = "average_precision" in scoreboard.metrics
    above = []
    for name in scoreboard.names:
        shuffled = scoreboard.mean(name, SHUFFLED, "average_precision" if several else MAIN_METRIC)
        guess = scoreboard.mean(name, DUMMY, "average_precision") if several else None
        chance = guess.value if guess else 1 / max(classes, 1)
        if shuffled and (guess or (classes > 1 and not several)) and shuffled.value - 2 * shuffled.sd > chance:
            above.append(f"{name} {plus_minus(shuffled.value, shuffled.sd)} against {score(chance)}")
    if above:
        rival = "the dummy in average precision" if several else f"guessing among {classes} classes"
        yield (
            f"With labels shuffled between groups, scores are above {rival} ({listing(above)}), so train and test "
            "groups share something besides the label."
        )
    if failed := [name for name in scoreboard.names if scoreboard.total(name, "unconverged")]:
        yield f"Logistic regression did not converge in every fold of {listing(failed)}; its scores may be too low."


def _of_units(scoreboard: Scoreboard, results: Results) -> Iterator[str]:
    missing = {name: n for name in scoreboard.names if (n := scoreboard.total(name, "units_missing"))}
    if missing:
        planned = len(results.split.tested().units) if results.split else 0
        shown = listing([f"{name} {n}" for name, n in missing.items()])
        tiled = results.split.tested().tiled if results.split else None
        pairs = ""
        if tiled is not None:
            pairs = (
                f" Differences between representations that were tested on different units are over the "
                f"{count(tiled.sum())} test units with a tile."
            )
        yield (
            f"Some of the {count(planned)} test units have no vector in these representations, which were scored "
            f"without them: {shown}.{pairs}"
        )
        yield from _missing_by_class(scoreboard, results, missing)
    absent = results.fold_facts.get("folds_without", {})
    if absent:
        shown = listing([f"{name} ({n})" for name, n in absent.items()])
        yield f"Some test folds lack a class (number of folds): {shown}; averages over classes skip it there."


def _missing_by_class(scoreboard: Scoreboard, results: Results, missing: Mapping[str, int]) -> Iterator[str]:
    """Name classes that lack vectors more often than others, unless `loss_caveats` says it of objects too large."""
    if results.split is None:
        return
    tested = results.split.tested()
    without_tile = 0 if tested.tiled is None else int((~tested.tiled).sum())
    unequal: dict[str, list[str]] = {}
    for name in (name for name, number in missing.items() if number != without_tile):
        scored = scoreboard.per_class(name)["support"]
        lost = {label: (number - int(scored.get(label, 0)), number) for label, number in tested.support().items()}
        if differs({"classes": lost}):
            unequal.setdefault(by_class({"classes": lost}), []).append(name)
    for shares, names in unequal.items():
        yield f"The test units without a vector in {listing(names)} are not equally frequent in all classes: {shares}."


def _of_data(results: Results) -> Iterator[str]:
    dropped = results.fold_facts.get("dropped", {})
    if dropped:
        shown = listing([f"{name} ({count})" for name, count in dropped.items()])
        yield (
            f"{amount(len(dropped), 'class', 'classes')} with too few groups for the folds "
            f"{'was' if len(dropped) == 1 else 'were'} dropped: {shown}. No score says anything about them."
        )
    unlabelled = results.fold_facts.get("unlabelled")
    if unlabelled and "unscored" not in results.fold_facts:
        yield f"{amount(unlabelled, 'unit')} without a label: embedded, but not used to train or score probes."
    if merged := results.fold_facts.get("merged_duplicates"):
        yield f"{amount(merged, 'group')} merged with others because they contain identical images."
    if results.quarantine is not None and len(results.quarantine):
        bad = results.quarantine["image_id"].nunique()
        total = results.image_count
        share = f" of {total} ({percent(bad / total)})" if total else ""
        yield f"{amount(bad, 'image')}{share} could not be used and {'is' if bad == 1 else 'are'} in quarantine."
    yield from object_caveats(results)
    yield from _of_unread_files(results.sheet_facts)
    yield from _of_plates(results.index)


def _of_unread_files(facts: Mapping[str, Any]) -> Iterator[str]:
    unread = facts.get("unread", {})
    if channels := unread.get("channels", {}):
        files = sum(some["count"] for some in channels.values())
        example = next(iter(channels.values()))["examples"][0]
        yield (
            f"{amount(files, 'file')} of {amount(len(channels), 'channel')} that the study does not name "
            f"({listing(list(channels))}) {'was' if files == 1 else 'were'} not read, for example {example}. "
            "`source.channels` names those that are read, and "
            "`source.ignore_channels` those that are left out on purpose."
        )
    near = [some for key in ("near", "near_masks") for some in unread.get(key, {}).values()]
    if near:
        kinds = dict.fromkeys(kind for key in ("near", "near_masks") for kind in unread.get(key, {}))
        files = sum(some["count"] for some in near)
        yield (
            f"{amount(files, 'file')} that nearly {'fits' if files == 1 else 'fit'} the study's file pattern (all but "
            f"the {listing(list(kinds))}) {'was' if files == 1 else 'were'} not read, for example "
            f"{near[0]['examples'][0]}."
        )
    if short := facts.get("table", {}).get("short_rows", {}).get("count"):
        yield (
            f"{amount(short, 'row')} of the study's table with fewer cells than its header: the cells at the end were "
            "read as empty."
        )


def _of_plates(index: pd.DataFrame | None) -> Iterator[str]:
    if index is None or not {"plate", "label"} <= set(index.columns) or index["plate"].nunique() < 2:
        return
    rows = index[["plate", "label"]].explode("label").dropna()
    plates = rows.groupby("label")["plate"].nunique()
    single = sorted(plates.index[plates == 1])
    if single:
        yield (
            f"{amount(len(single), 'class', 'classes')} on one plate only ({listing([str(s) for s in single])}): "
            "there, the effect of the label cannot be separated from that of the plate."
        )
