"""Recognise files that are not read by their first bytes, and say what to do with each."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePath

HEAD = 512
"""First bytes that are enough to recognise a format."""

_CONVERT = "convert it to OME-TIFF, for example with Bio-Formats: `bfconvert {name} {to}`"
_SAVE = "save it as PNG or TIFF"
_UNPACK = "unpack it first"


@dataclass(frozen=True)
class _Foreign:
    """A format that is not read: what it is called, `marks` at their places in the file, and what to do with it."""

    name: str
    marks: tuple[tuple[int, bytes], ...]
    advice: str = _CONVERT


_FOREIGN = (
    _Foreign("a Zeiss CZI file", ((0, b"ZISRAWFILE"),)),
    _Foreign("a Nikon ND2 file", ((0, b"\xda\xce\xbe\x0a"),)),
    _Foreign("a Leica LIF or LOF file", ((0, b"\x70\0\0\0"), (8, b"\x2a"))),
    _Foreign("an Olympus OIR file", ((0, b"OLYMPUSRAWFORMAT"),)),
    _Foreign("an Olympus OIF file", ((0, b"\xff\xfe[\0"),)),
    _Foreign("an Olympus ETS file, the pixels of a VSI file", ((0, b"SIS\0"),)),
    _Foreign("an OLE2 file, such as Olympus OIB or Zeiss ZVI", ((0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),)),
    _Foreign("a MetaMorph ND file, a list of files", ((0, b'"NDInfoFile"'),), "list the TIFF files that it names"),
    _Foreign("an HDF5 file, such as Imaris IMS", ((0, b"\x89HDF\r\n\x1a\n"),)),
    _Foreign("a DICOM file", ((128, b"DICM"),)),
    _Foreign("a NIfTI file", ((344, b"n+1\0"),)),
    _Foreign("the header of a NIfTI file", ((344, b"ni1\0"),)),
    _Foreign("a NIfTI-2 file", ((4, b"n+2\0"),)),
    _Foreign("a DeltaVision DV file", ((96, b"\xa0\xc0"),)),
    _Foreign("a DeltaVision DV file", ((96, b"\xc0\xa0"),)),
    _Foreign("an MRC file", ((208, b"MAP "),)),
    _Foreign("a Gatan DM3 file", ((0, b"\0\0\0\x03"), (8, b"\0\0\0"))),
    _Foreign("a Gatan DM4 file", ((0, b"\0\0\0\x04"), (12, b"\0\0\0"))),
    _Foreign("an NRRD file", ((0, b"NRRD"),)),
    _Foreign("a MetaImage header", ((0, b"ObjectType"),)),
    _Foreign("an ICS file", ((0, b"ics_version"),)),
    _Foreign("a FITS file", ((0, b"SIMPLE  ="),)),
    _Foreign("an OpenEXR file", ((0, b"\x76\x2f\x31\x01"),), _SAVE),
    _Foreign("a JPEG 2000 file (or an ND2 file of an old microscope)", ((0, b"\0\0\0\x0cjP  "),)),
    _Foreign("a JPEG 2000 file", ((0, b"\xff\x4f\xff\x51"),), _SAVE),
    _Foreign("a JPEG XL file", ((0, b"\xff\x0a"),), _SAVE),
    _Foreign("a JPEG XL file", ((0, b"\0\0\0\x0cJXL "),), _SAVE),
    _Foreign("a JPEG XR file", ((0, b"II\xbc"),), _SAVE),
    _Foreign("a GIF file", ((0, b"GIF8"),), _SAVE),
    _Foreign("a WebP file", ((0, b"RIFF"), (8, b"WEBP")), _SAVE),
    _Foreign("an AVI film", ((0, b"RIFF"), (8, b"AVI ")), "save its frames as TIFF"),
    _Foreign("a HEIC, AVIF or MP4 file", ((4, b"ftyp"),), _SAVE),
    _Foreign("a Photoshop file", ((0, b"8BPS"),), _SAVE),
    *(_Foreign("a PNM file", ((0, b"P%d" % n), (2, end)), _SAVE) for n in range(1, 8) for end in (b"\n", b" ", b"\r")),
    _Foreign("a PDF file", ((0, b"%PDF"),), _SAVE),
    _Foreign("a NumPy array", ((0, b"\x93NUMPY"),), "save it as TIFF"),
    _Foreign("a ZIP archive", ((0, b"PK\x03\x04"),), _UNPACK),
    _Foreign("a file packed with gzip", ((0, b"\x1f\x8b"),), _UNPACK),
    _Foreign("a file packed with bzip2", ((0, b"BZh"),), _UNPACK),
    _Foreign("a file packed with xz", ((0, b"\xfd7zXZ\0"),), _UNPACK),
    _Foreign("a file packed with Zstandard", ((0, b"\x28\xb5\x2f\xfd"),), _UNPACK),
    _Foreign("a pointer of Git LFS", ((0, b"version https://git-lfs"),), "fetch the files: `git lfs pull`"),
    _Foreign("an HTML page", ((0, b"<!DOCTYPE html"),), "download the file again"),
    _Foreign("an HTML page", ((0, b"<html"),), "download the file again"),
    _Foreign("an XML file", ((0, b"<?xml"),), "list the image files that it describes"),
)

_BY_ENDING = {
    ".vsi": "an Olympus VSI file, whose own pixels are a thumbnail",
    ".mrxs": "a MIRAX file, whose own pixels are a thumbnail",
}
"""Files that look like TIFF or JPEG and keep their pixels in others."""


def foreign(head: bytes, name: str) -> str | None:
    """Say what a file is that is not read, and what to do with it; None if it is not recognised.

    Args:
        head: Its first `HEAD` bytes.
        name: Its name.
    """
    for kind in _FOREIGN:
        if all(head[at : at + len(mark)] == mark for at, mark in kind.marks):
            return f"{kind.name}: {name}; {_filled(kind.advice, name)}"
    return None


def has_pixels_elsewhere(name: str) -> str | None:
    """Say what a file is whose pixels lie in other files, and what to do; None for other files."""
    kind = _BY_ENDING.get("." + name.rpartition(".")[2].lower())
    return f"{kind}: {name}; {_filled(_CONVERT, name)}" if kind else None


def _filled(advice: str, name: str) -> str:
    """Return advice with the name of the file as a shell takes it."""
    return advice.format(name=shlex.quote(name), to=shlex.quote(f"{PurePath(name).stem}.ome.tif"))
