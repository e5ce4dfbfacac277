"""Raw data of a study: files, tables, masks and outlines."""

from __future__ import annotations

from typing import Any

import pytest

from phenoloom.config.planes import Planes
from phenoloom.config.source import Source


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "give exactly one of `files`"),
        ({"files": "{image}.tif", "outlines": {"path": "x"}}, "give exactly one of `files`"),
        ({"files": {"DNA": "path"}, "channels": ["DNA"]}, "`files` names columns of a table"),
        (
            {"files": {"DNA": "path"}, "channels": ["actin"], "table": {"path": "x"}},
            "must name the same channels in the same order",
        ),
        ({"root": "raw {a}", "files": "{image}.tif"}, "must hold no braces"),
        ({"files": "{image}.tif", "pixel_size_um": float("inf")}, "should be a finite number"),
    ],
)
def test_sources_that_cannot_be_meant_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Source(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"axes": "CC"}, "must name each axis once, found CC"),
        ({"axes": "ZT", "z": "max", "t": "max"}, "use OME-TIFF"),
        ({"axes": "ZC"}, "`axes` has Z, so `z` must say how to reduce it"),
    ],
)
def test_axes_that_no_file_can_have_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Planes(**values)


def test_only_planes_that_become_images_matter_to_the_sheet() -> None:
    assert Planes(z="max", t="all").as_the_sheet_sees() == Planes(z="mean", t="all").as_the_sheet_sees()
    assert Planes(z="max").as_the_sheet_sees() != Planes(z="all").as_the_sheet_sees()
    assert Planes(z="max").as_the_sheet_sees() != Planes().as_the_sheet_sees()
