"""Which image, resolution and planes of a file a study reads, what its numbers mean, and the keys that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..config.planes import Planes
from ..config.source import Masks

Meaning = Literal["intensities", "labels", "stored"]
"""What the numbers of a file are: brightness, numbers of objects, or whatever is stored."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a file is read.

    Attributes:
        image: Number from 0, or name, of an image among those in the file; None: the file must hold one.
        level: Resolution of a pyramid, 0 is the full one; None: the full one, and only what the file marks as reduced
            is left out.
        own_order: Whether the study states what the pages are, so that the metadata of the file may say otherwise.
        section: Section of the study file with the keys `image` and `level`, for error messages.
        order_key: Key that states what the pages are.
        meaning: What the numbers are. Intensities are the colours of a palette, and labels its indices. Stored numbers
            are indices too, and it does not matter which of them a file calls white.
    """

    image: int | str | None = None
    level: int | None = None
    own_order: bool = False
    section: str = "source"
    order_key: str = "source.planes.axes"
    meaning: Meaning = "intensities"

    @classmethod
    def of_images(cls, image: int | str | None, level: int | None, planes: Planes | None) -> Choice:
        """Return what a study reads of its image files."""
        return cls(image, level, planes is not None and planes.axes is not None)

    @classmethod
    def of_masks(cls, masks: Masks) -> Choice:
        """Return what a study reads of its mask files."""
        meaning: Meaning = "labels" if masks.values is None else "stored"
        own_order = masks.plane is not None
        return cls(masks.image, masks.level, own_order, "source.masks", "source.masks.plane", meaning)
