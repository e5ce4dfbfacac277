"""Image files for tests, and reading them as a study without focal planes and time points does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from phenoloom.images.reader import ImageFiles, Reader

RNG = np.random.default_rng(0)
PIXEL_TYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"]


def pixels(*shape: int, dtype: str = "uint16") -> np.ndarray:
    """Random values below 100."""
    return RNG.integers(0, 100, shape).astype(dtype)


def ramp(*shape: int) -> np.ndarray:
    """An array in which every value names its place."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(np.uint16)


def write_tiff(path: Path, image: np.ndarray, **options: Any) -> Path:
    """Write a TIFF whose pages are grey."""
    tifffile.imwrite(path, image, **{"photometric": "minisblack", **options})
    return path


def read_image(files: Sequence[Path], channels: int) -> np.ndarray:
    """Read one image (c, h, w)."""
    return Reader(channels).read(ImageFiles(files))
