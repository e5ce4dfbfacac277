"""Read image files of any format as planes and their axes.

The formats are the entries of one table, `FORMATS`: a new one is a function that reads it and an entry there, and no
other module changes. Formats are recognised by the first bytes of a file, not by the ending of its name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ImageError
from .bmp import BMP_MAGIC, read_bmp
from .choice import Choice
from .foreign import HEAD, foreign, has_pixels_elsewhere
from .pictures import JPEG_MAGIC, PNG_MAGIC, read_jpeg, read_png
from .tiff.file import TIFF_MAGIC, read_tiff, tiff_axes
from .tiff.pages import Axes

LIBRARY_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,  # Pillow raises it for a broken PNG
    TypeError,
    ValueError,
    struct.error,
    Image.DecompressionBombError,
)
"""What tifffile, imagecodecs and Pillow raise on damaged files."""


_SHOWN = 8


@dataclass(frozen=True)
class Format:
    """A format of image files.

    Attributes:
        name: Its name, for error messages.
        starts: The first bytes of its files, one of several.
        read: Planes (planes, h, w) and axes of an open file with a name, of the image, resolution and meaning chosen.
        axes: Axes of an open file with a name, without reading a pixel; None: they are known by reading.
        several: Whether a file may hold several images or resolutions, of which a study chooses one.
    """

    name: str
    starts: tuple[bytes, ...]
    read: Callable[[IO[bytes], str, Choice], tuple[NDArray[Any], Axes]]
    axes: Callable[[IO[bytes], str, Choice], Axes] | None = None
    several: bool = False


def read_file(file: Path, choice: Choice | None = None) -> tuple[NDArray[Any], Axes]:
    """Read all planes of one image in a file.

    Args:
        file: Path of the file.
        choice: Which image and resolution is read, and what its numbers mean; None: the file must hold one image, of
            intensities. The colour table of a TIFF is a setting of the display, so its indices are the intensities.

    Returns:
        Planes (planes, h, w), whatever their number and dtype, and the axes that they lie along.

    Raises:
        ImageError: There is no such file, or it is empty, truncated, damaged, of no known format, or without pixels,
            or it holds images or pages that the choice does not explain.
    """
    choice = choice or Choice()
    with _damage_as_image_error(file), file.open("rb") as opened:
        planes, axes = _format_of(opened, file.name, choice).read(opened, file.name, choice)
    if planes.size == 0:
        raise ImageError(f"expected pixels, found an image of {planes.shape[-2]} x {planes.shape[-1]} px: {file.name}")
    return planes, axes


def file_axes(file: Path, choice: Choice | None = None) -> Axes:
    """Return the axes that `read_file` gives, from the header alone where the format allows it."""
    choice = choice or Choice()
    with _damage_as_image_error(file), file.open("rb") as opened:
        kind = _format_of(opened, file.name, choice)
        if kind.axes:
            return kind.axes(opened, file.name, choice)
        return kind.read(opened, file.name, choice)[1]


def _format_of(file: IO[bytes], name: str, choice: Choice) -> Format:
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise ImageError(f"expected an image, found a file of zero bytes: {name}")
    *others, last = (kind.name for kind in FORMATS)
    expected = f"expected a {', '.join(others)} or {last} image"
    for kind in FORMATS:
        if head.startswith(kind.starts):
            if elsewhere := has_pixels_elsewhere(name):
                raise ImageError(f"{expected}, found {elsewhere}")
            _refuse_choice(kind, choice, name)
            return kind
    found = foreign(head, name) or f"bytes {head[:_SHOWN]!r} at the start of {name}, which are those of no known format"
    raise ImageError(f"{expected}, found {found}")


def _refuse_choice(kind: Format, choice: Choice, name: str) -> None:
    """Refuse a study that wants another image or resolution than the only one of a file."""
    for key, wanted in (("image", choice.image), ("level", choice.level)):
        if not kind.several and wanted not in (None, 0):
            raise ImageError(
                f"expected a file with several images for `{choice.section}.{key}: {wanted}`, found {name}, a "
                f"{kind.name} file with one"
            )


@contextmanager
def _damage_as_image_error(file: Path) -> Iterator[None]:
    """Turn what libraries raise for a file that is missing or damaged into an ImageError."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ImageError(f"expected a file, found none at {file}") from None
    except PermissionError:
        raise ImageError(f"expected a readable file, found one without read permission: {file}") from None
    except LIBRARY_ERRORS as error:
        # An error number comes from the file system, not from the file's content: the disk may be back tomorrow.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # An address in memory differs from run to run.
        reason = " ".join(re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "it", str(error)).split()) or type(error).__name__
        raise ImageError(f"expected a whole image, found a damaged or truncated file: {file.name} ({reason})") from None


FORMATS = (
    Format("TIFF", TIFF_MAGIC, read_tiff, tiff_axes, several=True),
    Format("PNG", (PNG_MAGIC,), read_png),
    Format("JPEG", (JPEG_MAGIC,), read_jpeg),
    Format("BMP", (BMP_MAGIC,), read_bmp),
)
"""All formats that can be read."""
