"""Which image, resolution and planes of a file a study reads, and the keys of the study that say so."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.planes import Planes
from ..config.source import Masks


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
    """

    image: int | str | None = None
    level: int | None = None
    own_order: bool = False
    section: str = "source"
    order_key: str = "source.planes.axes"

    @classmethod
    def of_images(cls, image: int | str | None, level: int | None, planes: Planes | None) -> Choice:
        """Return what a study reads of its image files."""
        return cls(image, level, planes is not None and planes.axes is not None)

    @classmethod
    def of_masks(cls, masks: Masks) -> Choice:
        """Return what a study reads of its mask files."""
        return cls(masks.image, masks.level, masks.plane is not None, "source.masks", "source.masks.plane")
