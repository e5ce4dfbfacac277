"""Sentences on what a study lost before any score: objects, tiles and images, where it is much or differs by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

from ..images.objects import LeftOut
from .numbers import GAP, count, listing, percent
from .results import Results

MOST_LOST = 0.03
"""Share above which a loss is reported whatever the classes."""
MOST_APART = 0.05
"""Difference between the shares of two classes above which a loss is reported."""
LEAST_COUNT = 10
"""Classes with fewer objects are not compared."""
STANDARD_ERRORS = 3
"""A difference between classes must be this many standard errors, as counts of few objects differ by chance."""
MOST_CLASSES = 6
"""Number of classes above which only the two extremes are named."""

Loss = Mapping[str, Any]


def loss_caveats(results: Results) -> Iterator[str]:
    """Yield a sentence for each reason for which more than 3 % are lost, or which loses more of one class.

    Classes differ if the shares of two of them are more than 5 points and three standard errors apart.
    """
    stated = results.manifests.get("index", [{}])[0].get("losses", {})
    for loss in stated.get("reasons", []):
        apart = differs(loss)
        # Another sentence counts all images in quarantine.
        if loss["reason"] == LeftOut.UNUSABLE:
            if apart:
                yield f"Images that cannot be used are not equally frequent in all classes: {by_class(loss)}."
        elif apart or loss["lost"] > MOST_LOST * loss["of"]:
            (what, happened), advice = _described(loss["reason"], results, stated["fitting_px"])
            lost, of = loss["lost"], loss["of"]
            share = f"{percent(lost / of)} of the {what} ({count(lost)} of {count(of)})"
            classes = f": {by_class(loss)}" if loss["classes"] else ""
            unequal = " The loss differs between classes." if apart else ""
            yield f"{share} {happened}{classes}{advice}.{unequal}"


def differs(loss: Loss) -> bool:
    """Return whether the shares of two classes are further apart than chance and a few points."""
    large = [(lost, of) for lost, of in loss["classes"].values() if of >= LEAST_COUNT]
    if len(large) < 2:
        return False
    (low_lost, low_of), (high_lost, high_of) = min(large, key=_share), max(large, key=_share)
    apart = high_lost / high_of - low_lost / low_of
    pooled = (low_lost + high_lost) / (low_of + high_of)
    error = sqrt(pooled * (1 - pooled) * (1 / low_of + 1 / high_of))
    return bool(apart > max(MOST_APART, STANDARD_ERRORS * error))


def _share(lost_of: tuple[int, int]) -> float:
    return lost_of[0] / lost_of[1]


def by_class(loss: Loss) -> str:
    """Return the share of each class, the largest first; of many classes the largest and the smallest."""
    shares = sorted(((lost / of, name) for name, (lost, of) in loss["classes"].items() if of), reverse=True)
    texts = [f"{percent(share)} of {name}" for share, name in shares]
    if len(texts) > MOST_CLASSES:
        return f"from {texts[-1]} to {texts[0]}"
    return listing(texts)


def _described(reason: str, results: Results, fitting_px: int | None) -> tuple[tuple[str, str], str]:
    """Return what is lost, what happened to it, and the advice."""
    settings = results.convert_settings
    tiles, masks = settings.get("tiles") or {}, settings.get("masks") or {}
    outlined = results.manifests["index"][0]["settings"].get("shapes")
    size, left = tiles.get("size"), "were left out"
    fits = f"; tiles.size: {fitting_px} would keep 99{GAP}%" if fitting_px and fitting_px > (size or 0) else ""
    large = f"are larger than the window of {size} px and {'have an outline but no tile' if outlined else left}"
    border = "touch the border of the image and were left out"
    area = masks.get("min_area_px") or _shape_masks(results).get("min_area_px")
    words: dict[str, tuple[tuple[str, str], str]] = {
        LeftOut.TOO_LARGE: (("objects", large), fits),
        LeftOut.AT_IMAGE_BORDER: (("objects", border), "; tiles.border: keep keeps them"),
        LeftOut.AT_BORDER: (("objects", border), "; shapes.border: keep keeps them"),
        LeftOut.TOO_SMALL: (
            ("objects in the masks", f"are smaller than {area} px and were left out as specks"),
            "; if they are no specks, lower source.masks.min_area_px",
        ),
        LeftOut.BACKGROUND: (
            ("tiles", f"have less foreground than tiles.min_foreground = {tiles.get('min_foreground')} and {left}"),
            "",
        ),
        LeftOut.NO_OBJECTS: (("images", "hold no object"), "; look at source.masks if they should"),
        LeftOut.EMPTY_MASK: (
            ("images", "have an empty mask"),
            "; look at source.masks if they should not",
        ),
        LeftOut.TOO_FEW_POINTS: (
            ("objects", f"have outlines of too few distinct points and {left}"),
            "; lower shapes.min_points to keep them",
        ),
        LeftOut.OUTSIDE: (("points", "lie outside of their image"), ""),
        LeftOut.WINDOW_AT_BORDER: (
            ("points", f"have a window that reaches over the border of the image and {left}"),
            "; tiles.border: keep keeps them",
        ),
        LeftOut.NO_POINTS: (("images", "hold no point"), ""),
        LeftOut.NO_AREA: (("objects", f"have outlines that enclose no area and {left}"), ""),
    }
    return words.get(reason, (("objects or tiles", f"{left} ({reason})"), ""))


def _shape_masks(results: Results) -> Mapping[str, Any]:
    settings = results.manifests.get("contours", [{}])[0].get("settings", {})
    return settings.get("masks") or {}
