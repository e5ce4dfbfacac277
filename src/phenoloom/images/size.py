"""How large images are in memory, by the headers of their files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.errors import ImageError
from .choice import Choice
from .formats import LIBRARY_ERRORS
from .tiff.file import TIFF_MAGIC, tiff_shape

MOST_HEADERS = 3
"""Images of a shard whose headers are read: those with the largest files. Images of a study compress about alike."""

Size = tuple[float, float]
"""MB of all planes of an image, and megapixels of one of them."""


def largest(images: Iterable[Sequence[Path]], choice: Choice) -> Size:
    """Return the largest size among images, each given by its files; files that cannot be read count as nothing."""
    sizes = [(0.0, 0.0), *(_size(files, choice) for files in images)]
    return max(mb for mb, _ in sizes), max(megapixels for _, megapixels in sizes)


def _size(files: Sequence[Path], choice: Choice) -> Size:
    shapes = [_shape(file, choice) for file in files]
    planes, sides = [planes * itemsize for planes, _, itemsize in shapes], [pixels for _, pixels, _ in shapes]
    return float(np.dot(planes, sides)) / 1e6, max(sides, default=0) / 1e6


def _shape(file: Path, choice: Choice) -> tuple[int, int, int]:
    """Return the planes, the pixels of a plane and the bytes of a pixel that reading a file decodes."""
    try:
        with file.open("rb") as opened:
            if opened.read(4) in TIFF_MAGIC:
                return tiff_shape(opened, file.name, choice)
            opened.seek(0)
            with Image.open(opened) as image:
                return len(image.getbands()), image.width * image.height, 2 if "16" in image.mode else 1
    except (ImageError, *LIBRARY_ERRORS):
        # Conversion says what is wrong with it.
        return 0, 0, 0
