"""Every full-resolution plane of a file is in what is read, or named in a refusal: random files of many writers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from phenoloom.config.planes import Planes
from phenoloom.config.source import Masks
from phenoloom.core.errors import ImageError
from phenoloom.images.choice import Choice
from phenoloom.images.formats import file_axes, read_file
from phenoloom.images.labels import read_mask
from phenoloom.images.reader import ImageFiles, Reader

T = TypeVar("T")

QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass
class Part:
    """Pages that are written at once.

    Attributes:
        stack: Pixels, (pages, h, w) or (pages, h, w, samples); the first value of each plane is its number.
        axes: Axis that the metadata say the pages lie along; empty: they say nothing.
        subfiletype: Mark of the pages.
        subs: SubIFDs of each page, of half the size each.
        subs_marked: Whether these are marked as reduced.
    """

    stack: np.ndarray
    axes: str = ""
    subfiletype: int = 0
    subs: int = 0
    subs_marked: bool = True


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """What is read, or the sentence that refuses it."""
    try:
        return read(), ""
    except ImageError as error:
        return None, str(error)


def numbered(start: int, pages: int, size: int, samples: int) -> np.ndarray:
    """Planes of which each is filled with a number of its own, from `start`."""
    shape = (pages, size, size) if samples == 1 else (pages, size, size, samples)
    stack = np.zeros(shape, np.uint16)
    planes = np.arange(start, start + pages * samples, dtype=np.uint16).reshape(pages, samples)
    stack += planes[:, None, None, 0] if samples == 1 else planes[:, None, None, :]
    return stack


@st.composite
def parts(draw: st.DrawFn, *, masks: bool = False) -> tuple[str, list[Part]]:
    """A kind of metadata, and what is written in its order."""
    kind = draw(st.sampled_from(["plain", "shaped", "ome", "imagej"]))
    written, start = list[Part](), 1
    for _ in range(1 if kind == "imagej" else draw(st.integers(1, 3))):
        size = draw(st.sampled_from([8, 16, 32]))
        samples = 1 if kind == "imagej" or masks else draw(st.sampled_from([1, 1, 1, 3]))
        pages = draw(st.integers(1, 4))
        part = Part(numbered(start, pages, size, samples), draw(st.sampled_from(["", "C", "Z", "T"])))
        start += pages * samples
        if kind != "imagej":
            part.subfiletype = draw(st.sampled_from([0, 0, 0, 1, 2]))
            part.subs = draw(st.sampled_from([0, 0, 1, 2]))
            part.subs_marked = draw(st.booleans())
        written.append(part)
    return kind, written


def write(path: Path, kind: str, written: list[Part]) -> list[int]:
    """Write a file, and return the numbers of its full-resolution planes: those that nothing marks as reduced."""
    full, start = list[int](), 1000
    with tifffile.TiffWriter(path, ome=kind == "ome", imagej=kind == "imagej") as writer:
        for part in written:
            samples = {"photometric": "rgb"} if part.stack.ndim == 4 else {"photometric": "minisblack"}
            axes = f"{part.axes or 'C'}YX{'S' if part.stack.ndim == 4 else ''}"
            stack, metadata = part.stack, {"axes": axes} if part.axes or kind in ("ome", "imagej") else {}
            if len(stack) == 1:
                stack, metadata = stack[0], {}
            options: dict[str, Any] = {"subfiletype": part.subfiletype} if part.subfiletype else {}
            if part.subs:
                options["subifds"] = part.subs
            writer.write(stack, metadata=None if kind == "plain" else metadata, **samples, **options)
            if not part.subfiletype & 1:
                full += np.unique(part.stack).tolist()
            for level in range(1, part.subs + 1):
                marked = {"subfiletype": 1} if part.subs_marked else {}
                smaller = part.stack[:, :: 2**level, :: 2**level] + start
                smaller = smaller[0] if len(part.stack) == 1 else smaller
                writer.write(smaller, metadata=None if kind == "plain" else {}, **samples, **marked)
                if not part.subs_marked and kind != "ome":
                    full += np.unique(smaller).tolist()
                start += 1000
    return full


def full_pages(kind: str, written: list[Part]) -> int:
    """Count the pages that nothing marks as reduced."""
    main = [len(part.stack) for part in written if not part.subfiletype & 1]
    subs = [part.subs * len(part.stack) for part in written if not part.subs_marked and kind != "ome"]
    return sum(main) + sum(subs)


def named_pages(sentence: str) -> int:
    """Count the pages that a refusal lists."""
    count = 0
    for text in re.findall(r"\(pages? ([\d, -]+)(?:, \d| and S)", sentence):
        for run in text.split(", "):
            first, _, last = run.partition("-")
            count += int(last or first) - int(first) + 1
    return count + sum(
        1 + int(more or 0) for more in re.findall(r"SubIFD \d+ of page \d+(?: and (\d+) more)?", sentence)
    )


@QUIET
@given(drawn=parts(), order=st.booleans())
def test_every_full_resolution_plane_of_an_image_file_is_read_or_named(
    tmp_path: Path, drawn: tuple[str, list[Part]], order: bool
) -> None:
    kind, written = drawn
    full = write(tmp_path / "a.tif", kind, written)
    choice = Choice(own_order=order)
    found, reason = attempt(lambda: read_file(tmp_path / "a.tif", choice))
    event(reason.partition(",")[0] or f"read {kind}")
    if found is None:
        assert not full or "say in `source.image`" in reason
        assert not full or named_pages(reason) == full_pages(kind, written)
        return
    planes, axes = found
    assert sorted(planes[:, 0, 0].tolist()) == sorted(full)
    assert file_axes(tmp_path / "a.tif", choice) == axes
    assert np.prod([n for _, n in axes]) == len(planes)


@QUIET
@given(drawn=parts())
def test_planes_are_channels_only_if_nothing_says_otherwise(tmp_path: Path, drawn: tuple[str, list[Part]]) -> None:
    kind, written = drawn
    full = write(tmp_path / "a.tif", kind, written)
    stated = {part.axes for part in written if len(part.stack) > 1 and not part.subfiletype & 1} - {"", "C"}
    image, _ = attempt(lambda: Reader(len(full)).read(ImageFiles([tmp_path / "a.tif"])))
    if image is None:
        return
    assert kind == "plain" or not stated
    np.testing.assert_array_equal(image[:, 0, 0], full)


@QUIET
@given(drawn=parts(), number=st.integers(0, 2))
def test_a_chosen_image_is_read_whole_and_alone(tmp_path: Path, drawn: tuple[str, list[Part]], number: int) -> None:
    kind, written = drawn
    full = write(tmp_path / "a.tif", kind, written)
    found, _ = attempt(lambda: read_file(tmp_path / "a.tif", Choice(image=number)))
    if found is None:
        return
    values = found[0][:, 0, 0].tolist()
    assert len(set(values)) == len(values)
    assert set(values) <= set(full) or number > 0
    if kind == "ome" and number < len(written) and not written[number].subfiletype & 1:
        assert values == np.unique(written[number].stack).tolist()


@QUIET
@given(drawn=parts(masks=True), plane=st.none() | st.integers(0, 4))
def test_a_mask_file_is_one_plane_or_the_chosen_one(
    tmp_path: Path, drawn: tuple[str, list[Part]], plane: int | None
) -> None:
    kind, written = drawn
    full = write(tmp_path / "a.tif", kind, written)
    mask, reason = attempt(lambda: read_mask(tmp_path / "a.tif", Masks(files="a.tif", plane=plane)))
    if mask is None:
        assert re.search(r"source\.masks\.(plane|image)|full-resolution page, found none", reason)
        return
    assert len(np.unique(mask)) == 1
    assert mask[0, 0] == full[plane or 0]
    assert plane is not None or len(full) == 1


@QUIET
@given(drawn=parts(), policy=st.sampled_from(["first", "last"]))
def test_planes_of_the_study_read_what_the_file_states(
    tmp_path: Path, drawn: tuple[str, list[Part]], policy: Any
) -> None:
    kind, written = drawn
    full = write(tmp_path / "a.tif", kind, written)
    reader, file = Reader(1, Planes(z=policy, t=policy)), tmp_path / "a.tif"
    stack, _ = attempt(lambda: reader.read_stack(ImageFiles([file])))
    if stack is None:
        return
    size = reader.stack_size([file])
    assert stack.shape[:2] == size
    assert sorted(stack[:, :, 0, 0, 0].ravel().tolist()) == sorted(full)


@st.composite
def ome_descriptions(draw: st.DrawFn, pages: int) -> tuple[str, dict[str, int]]:
    """OME metadata with any sizes and blocks of planes, and the sizes."""
    order = draw(st.permutations("CZT"))
    sizes = {axis: draw(st.integers(1, 3)) for axis in order}
    blocks = []
    for _ in range(draw(st.integers(0, 3))):
        number = st.integers(0, pages)
        keys = {"IFD": number, "PlaneCount": number, **{f"First{axis}": st.integers(0, 2) for axis in order}}
        chosen = draw(st.fixed_dictionaries({}, optional=keys))
        uuid = draw(
            st.sampled_from(["", "", "", '<UUID FileName="a.tif">urn:uuid:1</UUID>', "<UUID>urn:uuid:2</UUID>"])
        )
        blocks.append("<TiffData " + " ".join(f'{k}="{v}"' for k, v in chosen.items()) + f">{uuid}</TiffData>")
    blocks = blocks or [f'<TiffData IFD="0" PlaneCount="{pages}"/>']
    text = " ".join(f'Size{axis}="{n}"' for axis, n in sizes.items())
    uuid = draw(st.sampled_from(["", 'UUID="urn:uuid:1"']))
    return (
        f'<OME {uuid}><Image><Pixels DimensionOrder="XY{"".join(order)}" SizeX="8" SizeY="8" {text}>'
        f"{''.join(blocks)}</Pixels></Image></OME>",
        sizes,
    )


@QUIET
@given(data=st.data(), pages=st.integers(2, 6))
def test_ome_metadata_are_followed_to_the_plane_or_refused(tmp_path: Path, data: st.DataObject, pages: int) -> None:
    xml, sizes = data.draw(ome_descriptions(pages))
    stack = numbered(1, pages, 8, 1)
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=False) as writer:
        for number, page in enumerate(stack):
            description = xml if number == 0 else None
            writer.write(page, photometric="minisblack", metadata=None, description=description)
    found, reason = attempt(lambda: read_file(tmp_path / "a.tif"))
    event(re.sub(r"\d+", "N", reason)[:60] or "read")
    if found is None:
        assert re.search(r"`source\.planes\.axes` what the pages are", reason)
        return
    planes, axes = found
    assert sorted(planes[:, 0, 0].tolist()) == list(range(1, pages + 1))
    assert all(n <= sizes[axis] for axis, n in axes)
    if "UUID>urn:uuid:2" not in xml:
        assert dict(axes) == {axis: n for axis, n in sizes.items() if n > 1}


@QUIET
@given(pages=st.integers(2, 6), frames=st.integers(1, 3), slices=st.integers(1, 3), channels=st.integers(1, 3))
def test_imagej_metadata_are_followed_to_the_plane_or_refused(
    tmp_path: Path, pages: int, frames: int, slices: int, channels: int
) -> None:
    count = frames * slices * channels
    text = f"ImageJ=1.53c\nimages={count}\nchannels={channels}\nslices={slices}\nframes={frames}\nhyperstack=true\n"
    stack = numbered(1, pages, 8, 1)
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=False) as writer:
        for number, page in enumerate(stack):
            description = text if number == 0 else None
            writer.write(page, photometric="minisblack", metadata=None, description=description)
    if count not in (1, pages):
        with pytest.raises(ImageError, match=r"`source\.planes\.axes`"):
            read_file(tmp_path / "a.tif")
        return
    planes, axes = read_file(tmp_path / "a.tif")
    assert planes[:, 0, 0].tolist() == list(range(1, pages + 1))
    stated = [(axis, n) for axis, n in (("T", frames), ("Z", slices), ("C", channels)) if n > 1]
    assert axes == (stated or [("C", pages)])
