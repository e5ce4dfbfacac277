from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.images import RNG
from tests.helpers.picture_files import bmp, packed

from phenoloom.core.errors import ImageError
from phenoloom.images.choice import Choice
from phenoloom.images.formats import read_file

LABELS = Choice(meaning="labels")


def save(folder: Path, data: bytes) -> Path:
    path = folder / "a.bmp"
    path.write_bytes(data)
    return path


def by_opencv(data: bytes) -> np.ndarray:
    """Read as RGB planes."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return np.moveaxis(found[..., ::-1], -1, 0)


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("layout", [{}, {"top_down": True}, {"old": True}])
@pytest.mark.parametrize("colours", ["any", "few", "ramp"])
def test_a_palette_is_colours_in_an_image_and_indices_in_a_mask(
    tmp_path: Path, bits: int, layout: dict[str, Any], colours: str
) -> None:
    count = 1 << bits if colours != "few" or layout.get("old") else 2
    palette = RNG.integers(0, 256, (count, 3)).astype(np.uint8)
    if colours == "ramp":
        palette = np.repeat(np.arange(count, dtype=np.uint8)[:, None], 3, 1)
    stored = RNG.integers(0, count, (7, 13))
    data = bmp([packed(row, bits) for row in stored], 13, bits, palette=palette, **layout)
    file = save(tmp_path, data)
    np.testing.assert_array_equal(read_file(file, LABELS)[0], stored[None])
    expected = np.moveaxis(palette[stored], -1, 0)
    found = read_file(file)[0]
    np.testing.assert_array_equal(found, expected[:1] if colours == "ramp" else expected)
    np.testing.assert_array_equal(np.broadcast_to(found, expected.shape), by_opencv(data))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_black_and_white_are_read_with_any_number_of_bits(tmp_path: Path, bits: int) -> None:
    stored = RNG.integers(0, 2, (7, 13))
    for palette in ([[0] * 3, [255] * 3], [[255] * 3, [0] * 3]):
        colours = np.array(palette, np.uint8)
        file = save(tmp_path, bmp([packed(row, bits) for row in stored], 13, bits, palette=colours))
        np.testing.assert_array_equal(read_file(file)[0][0], colours[stored][..., 0])
        np.testing.assert_array_equal(read_file(file, LABELS)[0][0], stored)


def test_an_index_without_a_colour_is_refused_in_an_image(tmp_path: Path) -> None:
    file = save(tmp_path, bmp([bytes([0, 1, 5])], 3, 8, palette=np.zeros((2, 3), np.uint8)))
    with pytest.raises(ImageError, match="expected indices of a palette of 2 colours, found 5"):
        read_file(file)


FIELDS = {
    "555": (16, 0, (), (0x7C00, 0x3E0, 0x1F)),
    "555 stated": (16, 3, (0x7C00, 0x3E0, 0x1F), (0x7C00, 0x3E0, 0x1F)),
    "565": (16, 3, (0xF800, 0x7E0, 0x1F), (0xF800, 0x7E0, 0x1F)),
    "888": (24, 0, (), (0xFF0000, 0xFF00, 0xFF)),
    "888 of 32": (32, 0, (), (0xFF0000, 0xFF00, 0xFF)),
    "888 swapped": (32, 3, (0xFF, 0xFF00, 0xFF0000), (0xFF, 0xFF00, 0xFF0000)),
    "8888": (32, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
}


@pytest.mark.parametrize("name", list(FIELDS))
@pytest.mark.parametrize("top_down", [False, True])
def test_colours_lie_where_the_fields_of_a_pixel_say(tmp_path: Path, name: str, top_down: bool) -> None:
    bits, compression, stated, fields = FIELDS[name]
    pixels = RNG.integers(0, 1 << bits, (5, 7)).astype(np.uint32)
    rows = [row.astype("<u4").view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes() for row in pixels]
    data = bmp(rows, 7, bits, compression=compression, fields=stated, top_down=top_down)
    found, axes = read_file(save(tmp_path, data))
    assert axes == [("SA", 4)] if len(fields) == 4 else [("S", 3)]
    for plane, field in zip(found, fields, strict=True):
        most = field // (field & -field)
        np.testing.assert_array_equal(plane, (pixels & field) // (field & -field) * 255 // most)
    if len(fields) == 3 and name != "888 swapped":
        # OpenCV does not stretch 5 bits to 8, and takes colours of 8 bits in one order only.
        assert np.abs(found.astype(int) - by_opencv(data)).max() <= (0 if bits > 16 else 8)


def run_lengths(stored: np.ndarray, bits: int, draw: Any) -> bytes:
    """Encode rows, from the bottom, in runs and literals of random lengths."""
    out = b""
    for row in stored[::-1]:
        x = 0
        while x < len(row):
            count = min(draw(st.integers(1, 9)), len(row) - x)
            if count >= 3 and draw(st.booleans()):
                literal = packed(row[x : x + count], bits)
                out += bytes([0, count]) + literal + bytes(len(literal) % 2)
            else:
                count = next((n for n in range(1, count + 1) if n == count or row[x + n] != row[x]), 1)
                value = row[x] if bits == 8 else row[x] * 17
                out += bytes([count, value])
            x += count
        out += b"\0\0"
    return out + b"\0\1"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bits=st.sampled_from([4, 8]), width=st.integers(1, 30), height=st.integers(1, 6))
def test_run_lengths_are_expanded(tmp_path: Path, data: st.DataObject, bits: int, width: int, height: int) -> None:
    palette = np.random.default_rng(0).integers(0, 256, (1 << bits, 3)).astype(np.uint8)
    stored = np.random.default_rng(width).integers(0, 3, (height, width)) * (5 if bits == 4 else 80)
    runs = run_lengths(stored, bits, data.draw)
    whole = bmp([runs], width, bits, palette=palette, compression=1 if bits == 8 else 2, height=height)
    np.testing.assert_array_equal(read_file(save(tmp_path, whole), LABELS)[0][0], stored)
    np.testing.assert_array_equal(read_file(save(tmp_path, whole))[0], by_opencv(whole))
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_file(save(tmp_path, whole[: -len(runs) // 2 - 3]))


def test_runs_that_are_skipped_are_index_0(tmp_path: Path) -> None:
    runs = bytes([2, 7, 0, 2, 1, 1, 1, 9, 0, 1])  # Two of 7, one right and one up, one of 9, the end.
    file = save(tmp_path, bmp([runs], 5, 8, palette=np.zeros((16, 3), np.uint8), compression=1, height=3))
    np.testing.assert_array_equal(read_file(file, LABELS)[0][0], [[0] * 5, [0, 0, 0, 9, 0], [7, 7, 0, 0, 0]])


@pytest.mark.parametrize(("bits", "compression"), [(24, 4), (8, 2), (64, 0), (24, 5)])
def test_other_kinds_of_bitmaps_are_refused_by_name(tmp_path: Path, bits: int, compression: int) -> None:
    file = save(tmp_path, bmp([bytes(64)], 5, bits, compression=compression, height=3))
    with pytest.raises(ImageError, match=rf"found {bits} bits and compression {compression} in a\.bmp; save it as PNG"):
        read_file(file)
