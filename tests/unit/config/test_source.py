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
        ({"files": "{well:\bA}.tif"}, r"holds the control character '\\x08'.* in single quotes"),
        ({"files": "{a}\t{b}.tif"}, "holds the control character"),
        ({"files": "{a}.tif", "masks": {"files": "m\u2028{a}.tif"}}, "(?s)masks.files.*holds the control character"),
        ({"files": "{a}.tif", "ignore_files": ["\x0b"]}, "(?s)ignore_files.0.*holds the control character"),
        ({"root": "raw {a}", "files": "{image}.tif"}, "must hold no braces"),
        ({"files": "{image}.tif", "pixel_size_um": float("inf")}, "should be a finite number"),
    ],
)
def test_sources_that_cannot_be_meant_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Source(**values)


ROWS = {"path": "cells.csv", "join": {"image": "Image"}}
MASKS = {"files": "{image}_mask.tif"}


@pytest.mark.parametrize(
    ("objects", "masks", "sentence"),
    [
        ({"label": "type"}, MASKS, "name either the column with the number"),
        ({"label": "type", "x": "X"}, MASKS, "name either the column with the number"),
        ({"label": "type", "object": "n", "x": "X", "y": "Y"}, MASKS, "name either the column with the number"),
        ({"object": "n"}, MASKS, "name the column with labels of objects"),
        ({"object": "n", "label": "type"}, None, "and the study has no `masks`; .* or use `points`"),
        ({"object": "n", "label": "type"}, {}, "objects from segmentation have no such numbers; name .* a point"),
        ({"object": "n", "label": "type"}, {**MASKS, "objects": "components"}, "not the pixels of one value"),
    ],
)
def test_labels_of_objects_that_cannot_be_found_are_refused(
    objects: dict[str, Any], masks: dict[str, Any] | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Source(files="{image}.tif", masks=masks, objects={**ROWS, **objects})


@pytest.mark.parametrize("masks", [{}, MASKS, {**MASKS, "objects": "components"}])
def test_points_find_objects_in_masks_of_any_kind(masks: dict[str, Any]) -> None:
    source = Source(files="{image}.tif", masks=masks, objects={**ROWS, "x": "X", "y": "Y", "group": "patient"})
    assert source.objects is not None
    assert source.objects.by_point
    assert source.objects.columns == ["X", "Y", "patient"]
    assert not source.labels_objects


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"files": "{image}.tif", "points": ROWS}, "name the columns with the coordinates of the points"),
        ({"files": "{image}.tif", "points": {**ROWS, "x": "X", "y": "Y"}, "masks": {}}, "where there are no masks"),
        ({"outlines": {"path": "x"}, "points": {**ROWS, "x": "X", "y": "Y"}}, "its label comes from `table`"),
        ({"files": "{image}.tif", "points": {**ROWS, "join": {}, "x": "X", "y": "Y"}}, "at least 1 item"),
    ],
)
def test_points_that_cannot_be_objects_are_refused(values: dict[str, Any], sentence: str) -> None:
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


SEGMENTED = {"files": "{image}.tif", "channels": ["DNA"]}


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        ({"invert_when_border_is_foreground": True, "objects": "one"}, "`source.polarity: dark`"),
        ({"values": [1]}, "`masks.values` has no effect here: it names values of a mask file"),
        ({"plane": 0}, "`masks.plane` has no effect here: it names a page of mask files"),
        ({"image": "cells"}, "`masks.image` has no effect here: it names one of several images in mask files"),
        ({"level": 0}, "`masks.level` has no effect here: it names a resolution of mask files"),
        ({"values": [0]}, "Without `masks.files` images are segmented by threshold; leave it out"),
        ({**MASKS, "channel": "DNA"}, "With `masks.files` nothing is segmented; leave it out"),
        ({**MASKS, "smoothing_px": 1.0}, "`masks.smoothing_px` has no effect"),
        ({**MASKS, "split_distance_px": 9.0}, "`masks.split_distance_px` has no effect"),
        ({"objects": "components", "split_distance_px": 9.0}, "objects that touch are not separated"),
        ({**MASKS, "invert_when_border_is_foreground": True}, "needs a binary mask"),
    ],
)
def test_keys_of_masks_without_effect_are_refused(masks: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Source(**SEGMENTED, masks=masks)


def test_keys_of_masks_may_state_their_default() -> None:
    assert Source(**SEGMENTED, masks={**MASKS, "smoothing_px": 2.0, "channel": None}).masks
    assert Source(**SEGMENTED, masks={"invert_when_border_is_foreground": False, "values": None}).masks


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({**SEGMENTED, "masks": MASKS}, "`masks.invert_when_border_is_foreground: true`"),
        ({"outlines": {"path": "cells.txt"}}, "objects come from outlines here; leave it out"),
    ],
)
def test_polarity_is_refused_where_nothing_is_segmented(source: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Source(**source, polarity="dark")
    assert Source(**source, polarity="auto").polarity == "auto"
    assert Source(**SEGMENTED, polarity="dark").polarity == "dark"


def test_masks_beside_outlines_are_refused() -> None:
    with pytest.raises(ValueError, match="`outlines` are objects already; leave out `masks`"):
        Source(outlines={"path": "cells.txt"}, masks=MASKS)
