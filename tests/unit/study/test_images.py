from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phenoloom.config.source import Source
from phenoloom.core.errors import PhenoloomError
from phenoloom.study.annotations import Annotations
from phenoloom.study.files import Root
from phenoloom.study.images import Image, file_pattern, find_images
from phenoloom.study.searches import mask_files


def found_images(root: Path, *files: str, **source: Any) -> list[Image]:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    described = Source.model_validate(source)
    pattern = file_pattern(described)
    folder = Root(str(root))
    annotations = Annotations(described, folder, pattern.fields if pattern else ())
    return find_images(described, folder, annotations, pattern)


def test_files_of_all_channels_become_one_image_in_natural_order(tmp_path: Path) -> None:
    images = found_images(
        tmp_path,
        *("P/A1_s10_w1.tif", "P/A1_s10_w2.tif", "P/A1_s2_w2.tif", "P/A1_s2_w1.tif"),
        files="{plate}/{well}_s{field}_{channel}.tif",
        channels={"DNA": "w1", "actin": "w2"},
    )
    assert [image.image_id for image in images] == ["P/A1/2", "P/A1/10"]
    assert images[0].files == {"DNA": "P/A1_s2_w1.tif", "actin": "P/A1_s2_w2.tif"}


def test_an_image_without_fields_is_called_after_its_file(tmp_path: Path) -> None:
    (image,) = found_images(tmp_path, "a/b.c.tif", files="{x}/{y}.tif", channels=["DNA"])
    assert (image.image_id, image.files) == ("a/b.c", {"": "a/b.c.tif"})


CALL = "; call it `{z}` for focal planes, `{t}` for time points"
Z, T = "in `source.planes.z` what becomes of focal planes", "in `source.planes.t` what becomes of time points"


@pytest.mark.parametrize(
    ("pattern", "planes", "advice"),
    [
        ("{well}_{x}.tif", None, f"{CALL}, and say {Z} and {T}"),
        ("{well}_{x}.tif", {"z": "max"}, f"{CALL}, and say {T}"),
        ("{well}_{x}.tif", {"z": "max", "t": "max"}, CALL),
        ("{well}_{z}.tif", None, f"; say {Z}"),
        ("{well}_{z}.tif", {"t": "max"}, f"; say {Z}"),
        ("{well}_{t}{x}.tif", {"t": "all"}, f"; call it `{{z}}` for focal planes, and say {Z}"),
        ("{well}_{t}{z}{x}.tif", {"t": "all", "z": "max"}, ""),
    ],
)
def test_files_of_one_image_are_refused_with_advice_that_is_not_followed_yet(
    tmp_path: Path, pattern: str, planes: dict[str, str] | None, advice: str
) -> None:
    names = ("A1_11p.tif", "A1_11q.tif")
    with pytest.raises(PhenoloomError) as error:
        found_images(tmp_path, *names, files=pattern, channels=["DNA"], planes=planes)
    assert str(error.value).endswith(f"or narrow it{advice}")


def test_planes_are_distinguished_by_their_fields(tmp_path: Path) -> None:
    files = ("A1_z1.tif", "A1_z2.tif")
    source = {"files": "{well}_z{z}.tif", "channels": ["DNA"]}
    (image,) = found_images(tmp_path, *files, **source, planes={"z": "max"})
    assert image.stack == {("", "1", ""): "A1_z1.tif", ("", "2", ""): "A1_z2.tif"}
    images = found_images(tmp_path, *files, **source, planes={"z": "all"})
    assert [(image.image_id, image.whole) for image in images] == [("A1/z1", "A1"), ("A1/z2", "A1")]
    with pytest.raises(PhenoloomError, match="Two files are image 'A1'"):
        found_images(tmp_path, *files, **source)


def test_a_mask_belongs_to_the_image_with_its_fields(tmp_path: Path) -> None:
    for name in ("m/A1_1.png", "m/A1_2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    source = Source(files="{well}_{field}_{channel}.tif", channels=["DNA"])
    root = Root(str(tmp_path))
    shared, masks = mask_files(source, "m/{well}_{field}.png", root, ["well", "field", "channel"])
    assert shared == ["field", "well"]
    assert masks == {("1", "A1"): "m/A1_1.png", ("2", "A1"): "m/A1_2.png"}
    with pytest.raises(PhenoloomError, match="Two mask files belong to the image with well = A1"):
        mask_files(source, r"m/{well}_{n:\d}.png", root, ["well"])
    with pytest.raises(PhenoloomError, match="shares no field with the images"):
        mask_files(source, "m/{name}.png", root, ["well"])
