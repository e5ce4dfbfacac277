from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from phenoloom.images.choice import Choice
from phenoloom.images.size import largest


@pytest.mark.parametrize(("dtype", "planes"), [("uint8", 3), ("uint16", 1), ("float32", 5)])
def test_the_size_of_a_tiff_counts_all_of_its_planes(tmp_path: Path, dtype: str, planes: int) -> None:
    pixels = np.zeros((planes, 100, 200), dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", compression="deflate")
    assert largest([[tmp_path / "a.tif"]], Choice()) == (pixels.nbytes / 1e6, 0.02)


def test_files_of_one_image_add_up_and_the_largest_image_counts(tmp_path: Path) -> None:
    for name, side in (("a", 100), ("b", 100), ("c", 150)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((side, side), np.uint16))
    files = [tmp_path / f"{name}.tif" for name in "abc"]
    assert largest([files[:2], files[2:]], Choice()) == (0.045, 0.0225)
    assert largest([files[:2]], Choice()) == (0.04, 0.01)


@pytest.mark.parametrize(
    ("name", "mode", "mb"), [("a.png", "RGB", 0.06), ("a.png", "I;16", 0.04), ("a.bmp", "L", 0.02)]
)
def test_pictures_state_their_size_too(tmp_path: Path, name: str, mode: str, mb: float) -> None:
    Image.new(mode, (200, 100)).save(tmp_path / name)
    assert largest([[tmp_path / name]], Choice()) == (mb, 0.02)


def test_files_that_cannot_be_read_count_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0 nonsense")
    assert largest([[tmp_path / "a.tif"], [tmp_path / "none.tif"]], Choice()) == (0, 0)
    assert largest([], Choice()) == (0, 0)


def test_of_a_pyramid_the_level_that_is_read_counts(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((400, 400), np.uint8), subifds=1, photometric="minisblack")
        file.write(np.zeros((200, 200), np.uint8), subfiletype=1, photometric="minisblack")
    assert largest([[tmp_path / "a.tif"]], Choice(level=0))[0] == 0.16
    assert largest([[tmp_path / "a.tif"]], Choice(level=1))[0] == 0.04
