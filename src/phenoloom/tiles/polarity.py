"""Decide for a whole study whether objects are brighter or darker than the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config.source import Polarity
from ..core.errors import ImageError
from ..images.polarity import LEAST_EVIDENCE, polarity_evidence
from .tiler import Conversion

MOST_IMAGES = 16
"""Images that are looked at, at most."""
MOST_TRIED = 2 * MOST_IMAGES
"""Images of the sheet that are tried for it, as some may be impossible to read."""

_LEAST_IMAGES, _CLEAR = 3, 4.0
_THAN_FIELD = {"bright": "brighter than the field", "dark": "darker than the field"}


@dataclass(frozen=True)
class FieldPolarity:
    """Whether objects of a study are brighter or darker than the field, and how that is known.

    Attributes:
        polarity: What they are.
        found: Whether it was found from the images, and not stated by the study.
        evidence: Sum over the images that were looked at: above zero for bright objects, below for dark ones.
        images: Number of these images.
    """

    polarity: Polarity
    found: bool
    evidence: float = 0.0
    images: int = 0

    @property
    def clear(self) -> bool:
        """Whether the images told; if not, objects are taken as bright."""
        return not self.found or abs(self.evidence) >= LEAST_EVIDENCE

    def sentence(self) -> str:
        """Return one sentence for readers."""
        return polarity_sentence(self.facts())

    def facts(self) -> dict[str, Any]:
        """Return what the manifest of a shard states.

        Evidence and number of images are left out: they depend on which images of other shards can be read at the
        time, and a shard must have the same bytes whenever it is made.
        """
        return {"polarity": self.polarity, "found": self.found, "clear": self.clear}


def polarity_sentence(facts: Mapping[str, Any]) -> str:
    """Return one sentence on the facts that a manifest states."""
    if not facts["found"]:
        return f"objects are taken as {_THAN_FIELD[facts['polarity']]} (source.polarity)"
    if not facts["clear"]:
        return (
            "objects are taken as brighter than the field, as no image that was looked at shows which they are; if "
            "they are darker, set source.polarity: dark"
        )
    return (
        f"objects are taken as {_THAN_FIELD[facts['polarity']]} (found automatically from some images); if that is "
        f"wrong, set source.polarity: {'bright' if facts['polarity'] == 'dark' else 'dark'}"
    )


def field_polarity(conversion: Conversion, rows: Iterable[dict[str, Any]]) -> FieldPolarity | None:
    """Return the polarity that a study states, or find it from its images; None where mask files name the objects.

    One decision holds for the whole study: a field with few objects or none would be taken for the opposite now and
    then. Images are looked at until the sum of their evidence is clear.

    Args:
        conversion: How images become tiles.
        rows: Rows of the sheet, in the order in which they are looked at; the same for all shards.
    """
    if not conversion.by_threshold:
        return None
    if conversion.polarity != "auto":
        return FieldPolarity(conversion.polarity, found=False)
    evidence, images = 0.0, 0
    for row in rows:
        try:
            image = conversion.read(row)
        except ImageError:
            continue
        evidence, images = evidence + polarity_evidence(image[conversion.foreground_channel]), images + 1
        if images >= MOST_IMAGES or (images >= _LEAST_IMAGES and abs(evidence) >= _CLEAR):
            break
    return FieldPolarity("dark" if evidence <= -LEAST_EVIDENCE else "bright", True, evidence, images)
