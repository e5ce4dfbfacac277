"""Section on shape space: what the vectors of models of contours are invariant to, and what they decode to.

It shows what the step `embed` found on the first split of each model (`embedding.shape_space`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..charts.pictures import Gallery, Picture, contour_picture
from ..numbers import GAP, amount, count, percent, score
from ..results import ShapeSpace
from ..table import Cell, Column, PageTable, number, text
from .base import PageSection, ReportData, missing

MOST_LABELS = 24
NEGLIGIBLE = 1e-3
"""Share of distances outside the plane up to which the page does not mention it."""


@dataclass(frozen=True)
class ShapeContent:
    """Content of the page for one model: pictures, and its shape modes by label."""

    name: str
    galleries: list[Gallery]
    modes: PageTable | None


def section(data: ReportData) -> PageSection | None:
    """Return the section on shape space, or None if the study has no models of contours."""
    families = data.families
    found = data.results.shape_spaces(families.one_of_each(data.settings.representations))
    if not found:
        return None
    content = {
        "invariance": invariances(found),
        "decoded": decoded_outlines(found),
        "spaces": spaces(found),
        "seeds": families.shown_first(space.representation for space in found),
    }
    reasons = {
        "invariance": "No table of invariances: all objects have the same vector.",
        "decoded": "No decoded outlines: no model of this study decodes outlines from its vectors.",
    }
    return PageSection("shapes", "Shape space", content, missing(content, reasons))


def spaces(found: Sequence[ShapeSpace]) -> list[ShapeContent]:
    """Return the pictures and the shape modes of each model."""
    return [
        ShapeContent(
            space.representation, [g for g in (_paths(space), _drawn(space), _modes(space)) if g], _occupancy(space)
        )
        for space in found
    ]


def invariances(found: Sequence[ShapeSpace]) -> PageTable | None:
    """Return how far vectors move when an outline is changed, a row for each change and a column for each model."""
    held = [space for space in found if "invariance_moved" in space.arrays]
    if not held:
        return None
    changes = list(dict.fromkeys(str(name) for space in held for name in space.arrays["invariance_changes"]))
    rows = [[text(change), *(_moved(space.arrays, change) for space in held)] for change in changes]
    return PageTable(
        "How far a vector moves when the same outline is described differently",
        [Column("change"), *(Column(space.representation, True) for space in held)],
        rows,
        note="Median over objects of the test groups, and below it the 95th percentile, in units of the typical "
        "distance between two objects: 0 is no move, 1 is another object. The upper rows are exact symmetries of the "
        "points of an outline; from rotation on, the outline is sampled anew, which moves every point a little.",
        sortable=False,
    )


def decoded_outlines(found: Sequence[ShapeSpace]) -> PageTable | None:
    """Return how near decoded outlines come to their inputs, and decoded distances to those of any outline."""
    rows = []
    for space in found:
        if "decoded_errors" not in space.arrays:
            continue
        errors, outside = space.arrays["decoded_errors"], space.arrays["decoded_outside"]
        values = [np.mean(errors), np.median(errors), np.quantile(errors, 0.95), np.mean(outside), np.max(outside)]
        cells = [number(f"{100 * value:.2f}{GAP}%", float(value)) for value in values]
        rows.append([text(space.representation), text(space.split), number(count(len(errors)), len(errors)), *cells])
    if not rows:
        return None
    names = ["outlines", "mean error", "median", "95 %", "outside the plane", "largest"]
    return PageTable(
        "Outlines decoded from vectors, test groups",
        [Column("representation"), Column("split"), *(Column(name, True) for name in names)],
        rows,
        note="Error: mean distance between the input and the decoded outline, in both directions, in % of the diameter "
        "of the input, for the pose, start and direction that fit best. Outside the plane: share of the eigenvalues of "
        "the decoded distances beyond the first two; 0 if the decoder gives points: their distances are always "
        "those of an outline.",
    )


def _moved(arrays: dict[str, NDArray[Any]], change: str) -> Cell:
    places = np.flatnonzero(arrays["invariance_changes"] == change)
    if not len(places):
        return text("")
    median, most = (float(value) for value in arrays["invariance_moved"][places[0]])
    return number(_small(median), median, note=_small(most), shade=min(1.0, median))


def _small(value: float) -> str:
    """Format with three decimals, or as a power of ten if these would be zero."""
    if value == 0:
        return "0"
    if value >= 5e-4:
        return score(value)
    return f"< 10{str(int(np.ceil(np.log10(value)))).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _paths(space: ShapeSpace) -> Gallery | None:
    arrays = space.arrays
    if "path_outlines" not in arrays:
        return None
    groups = []
    for path, ends, names, outside in zip(
        *(arrays[key] for key in ("path_outlines", "path_ends", "path_labels", "path_outside")), strict=True
    ):
        pictures = []
        extent = float(np.abs(np.concatenate([*path, *ends])).max())
        for step, outline in enumerate(path):
            known = {0: ends[0], len(path) - 1: ends[1]}.get(step)
            alt = f"Step {step + 1} of {len(path)} from {names[0]} to {names[1]}{_outside(outside[step])}"
            pictures.append(_picture([outline] if known is None else [known, outline], alt, extent))
        groups.append((f"{names[0]} to {names[1]}", pictures))
    caption = (
        f"{space.representation}, {space.split}: steps along a straight line between the vectors of a typical object "
        "(the nearest to the mean) of one label and of the next, decoded. At both ends, the object itself is filled "
        f"and the decoded outline is a line. {_plane(arrays['path_outside'])}"
    )
    return Gallery(caption, groups)


def _drawn(space: ShapeSpace) -> Gallery | None:
    if "drawn_outlines" not in space.arrays:
        return None
    outlines, outside = space.arrays["drawn_outlines"], space.arrays["drawn_outside"]
    extent = float(np.abs(outlines).max())
    pictures = [
        _picture([o], f"Outline {i} of {len(outlines)} drawn from the prior{_outside(share)}", extent)
        for i, (o, share) in enumerate(zip(outlines, outside, strict=True), 1)
    ]
    caption = (
        f"{space.representation}, {space.split}: vectors drawn at random from the prior, decoded; they belong to no "
        "object. If the weight of the divergence is close to zero, a model does not follow its prior, and these "
        "outlines mean nothing. "
        f"{_plane(outside)}"
    )
    return Gallery(caption, [("drawn from the prior", pictures)])


def _modes(space: ShapeSpace) -> Gallery:
    arrays = space.arrays
    rows = arrays["mode_rows"]
    decoded = arrays.get("mode_decoded")
    extent = float(np.abs(arrays["mode_outlines"]).max())
    pictures = []
    for mode, outline in enumerate(arrays["mode_outlines"]):
        share = percent(float(rows[mode] / rows.sum()))
        drawing = [outline] if decoded is None else [outline, decoded[mode]]
        alt = f"Shape mode {mode + 1}, {share} of the train rows"
        pictures.append(_picture(drawing, alt, extent, note=f"{mode + 1} · {share}"))
    line = "" if decoded is None else ", and the decoded centre (line)"
    fit, held = arrays["mode_fit"]
    caption = (
        f"{space.representation}, {space.split}: shape modes, {amount(len(rows), 'cluster')} of the vectors "
        f"(k-means, fitted to {amount(int(rows.sum()), 'train row')} only): mean outline (filled) of the members, each "
        f"in the pose that fits best{line}, with the share of the train rows. Test rows lie {held / fit:.2f} times "
        "as far from their centres as train rows (median)."
        + ("" if decoded is None else f" {_plane(arrays['mode_outside'])}")
    )
    return Gallery(caption, [("shape modes", pictures)])


def _occupancy(space: ShapeSpace) -> PageTable | None:
    arrays = space.arrays
    if len(arrays["mode_labels"]) == 0:
        return None
    modes = arrays["mode_occupancy"].shape[1]
    rows = [
        [
            text(label),
            number(count(int(n)), int(n)),
            number(score(float(entropy), 2), float(entropy)),
            *(number(f"{100 * share:.0f}", float(share), shade=float(share)) for share in shares),
        ]
        for label, n, entropy, shares in zip(
            *(arrays[f"mode_{key}"] for key in ("labels", "label_rows", "entropy", "occupancy")), strict=True
        )
    ]
    return PageTable(
        f"Shape modes of {space.representation} by label, test rows in %",
        [
            Column("label"),
            Column("rows", True),
            Column("entropy", True, "in bits; 0 if all rows are in one mode"),
            *(Column(str(mode + 1), True) for mode in range(modes)),
        ],
        rows,
        note="Each test row belongs to the nearest of the modes above, which were fitted to train rows. Entropy in "
        f"bits: 0 if all rows of a label are in one mode, {np.log2(modes):.2f} if they are spread evenly over all "
        "modes; with few rows it is lower by chance."
        + (f" The {len(rows)} most frequent labels are shown." if len(rows) >= MOST_LABELS else ""),
        tall=len(rows) > 12,
    )


def _picture(outlines: Sequence[NDArray[Any]], alt: str, extent: float, note: str = "") -> Picture:
    return replace(contour_picture(outlines, alt, extent), note=note)


def _outside(share: float) -> str:
    return f", {percent(float(share))} outside the plane" if share > NEGLIGIBLE else ""


def _plane(outside: NDArray[Any]) -> str:
    most = float(np.max(outside))
    if most <= NEGLIGIBLE:
        return "All decoded distances are those of outlines in the plane."
    return (
        f"{percent(float(np.mean(outside)))} of the decoded distances lie outside the plane (mean; at most "
        f"{percent(most)}), and the picture leaves them out."
    )
