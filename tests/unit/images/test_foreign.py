from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.helpers.images import write_tiff

from phenoloom.core.errors import ImageError
from phenoloom.images.formats import read_file


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"ZISRAWFILE\0\0", "a Zeiss CZI file"),
        (b"\xda\xce\xbe\x0a\0\0", "a Nikon ND2 file"),
        (b"\x70\0\0\0\x10\0\0\0\x2a<", "a Leica LIF or LOF file"),
        (b"OLYMPUSRAWFORMAT", "an Olympus OIR file"),
        (b"SIS\0@\0\0\0", "an Olympus ETS file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE2 file, such as Olympus OIB or Zeiss ZVI"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\\\1\0\0" + bytes(340) + b"n+1\0", "a NIfTI file"),
        (bytes(96) + b"\xa0\xc0", "a DeltaVision DV file"),
        (bytes(208) + b"MAP DD", "an MRC file"),
    ],
)
def test_files_of_microscopes_are_known_and_it_is_said_how_to_convert_them(
    tmp_path: Path, head: bytes, found: str
) -> None:
    (tmp_path / "a b.xyz").write_bytes(head + bytes(2000))
    with pytest.raises(ImageError) as error:
        read_file(tmp_path / "a b.xyz")
    assert str(error.value).startswith(f"expected a TIFF, PNG, JPEG or BMP image, found {found}")
    assert str(error.value).endswith(
        "convert it to OME-TIFF, for example with Bio-Formats: `bfconvert 'a b.xyz' 'a b.ome.tif'`"
    )


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"v/1\x01\2", "an OpenEXR file: a.dat; save it as PNG or TIFF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP file: a.dat; save it as PNG or TIFF"),
        (b"P5\n5 5\n255\n", "a PNM file"),
        (b"PK\x03\x04", "a ZIP archive: a.dat; unpack it first"),
        (b"\x1f\x8b\x08", "a file packed with gzip"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS: a.dat; fetch the files: `git lfs pull`"),
        (b"<!DOCTYPE html>", "an HTML page: a.dat; download the file again"),
        (b"\x93NUMPY", "a NumPy array"),
    ],
)
def test_other_files_are_known_too(tmp_path: Path, head: bytes, found: str) -> None:
    (tmp_path / "a.dat").write_bytes(head)
    with pytest.raises(ImageError) as error:
        read_file(tmp_path / "a.dat")
    assert f"found {found}" in str(error.value)


def test_files_that_libraries_write_are_known(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.ims", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(ImageError, match="found an HDF5 file, such as Imaris IMS"):
        read_file(tmp_path / "a.ims")
    for kind in ("gif", "webp"):
        frames = [Image.new("L", (4, 4), level) for level in (0, 200)]
        frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:])
        with pytest.raises(ImageError, match=r"(?i)found a (gif|webp) file"):
            read_file(tmp_path / f"a.{kind}")


def test_random_bytes_are_no_known_format_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"\x17\x83 random bytes")
    with pytest.raises(ImageError, match=r"at the start of a\.czi, which are those of no known format"):
        read_file(tmp_path / "a.czi")


@pytest.mark.parametrize("name", ["a.vsi", "A.VSI", "a.mrxs"])
def test_a_thumbnail_is_not_taken_for_the_image_that_lies_in_other_files(tmp_path: Path, name: str) -> None:
    write_tiff(tmp_path / name, np.zeros((8, 8), np.uint8))
    with pytest.raises(ImageError, match=r"whose own pixels are a thumbnail: .*; convert it to OME-TIFF"):
        read_file(tmp_path / name)
