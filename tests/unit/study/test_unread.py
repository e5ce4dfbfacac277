from __future__ import annotations

import pytest

from phenoloom.study.patterns import Pattern
from phenoloom.study.unread import FURTHER, MOST_CHANNELS, Unread, nearest_miss


@pytest.mark.parametrize(
    ("pattern", "paths", "sentence"),
    [
        (
            r"{plate}/{well:[A-H]\d\d}_s{site}.tif",
            ["readme.txt", "P1/notes.txt", "P1/A1_s1.tif"],
            r"the nearest is 'P1/A1_s1.tif': 'P1/' fits '{plate}/', but there is 'A1_s1.tif' instead of "
            r"'{well:[A-H]\d\d}_s{site}.tif'",
        ),
        (
            "{plate}/{well}_s{site}.tif",
            ["P/A01_s12.TIF"],
            "the nearest is 'P/A01_s12.TIF': 'P/A01_s12' fits '{plate}/{well}_s{site}', but there is '.TIF' instead "
            "of '.tif'",
        ),
        (
            "{well}_s{site}_{_}.tif",
            ["A1_x.tif", "A1_s1.tif"],
            "the nearest is 'A1_s1.tif': 'A1_s1' fits '{well}_s{site}', but there is '.tif' instead of '_{_}.tif'",
        ),
        ("Plate{n}/{well}.tif", ["plate1/A1.tif"], "the nearest is 'plate1/A1.tif': there is 'plate1' instead of "
         "'Plate{n}'"),
        ("{plate}/{well}.tif", ["A1.tif"],
         "the nearest is 'A1.tif': it lies in no folders, and files that fit the pattern lie in 1 folder"),
        ("{plate:P.}/{well}.tif", ["raw/x/P1/A1.tif"],
         "'raw/x/P1/A1.tif' fits without 'raw/x/': begin the pattern with it, or with `{_}/` for each folder"),
        ("{plate}/{**}/img_{well}.tif", ["P/x/y/img_A1.png"],
         "the nearest is 'P/x/y/img_A1.png': 'P/x/y/img_A1' fits '{plate}/{**}/img_{well}', but there is '.png' "
         "instead of '.tif'"),
        ("{a}-{a}.tif", ["x-y.tif"], "the nearest is 'x-y.tif': 'x-' fits '{a}-', but there is 'y.tif' instead of "
         "'{a}.tif'"),
        ("{plate}/{well}_{channel}.tiff", ["P/A1_dna.tif"],
         "the nearest is 'P/A1_dna.tif': 'P/A1_dna' fits '{plate}/{well}_{channel}', but there is '.tif' instead of "
         "'.tiff'"),
        ("{well:A.}_s{site}", ["A1"], "the nearest is 'A1': 'A1' fits '{well:A.}', but then comes no '_s{site}'"),
        ("{a}.tif", [], ""),
    ],
)  # fmt: skip
def test_the_nearest_miss_is_shown_with_the_place_where_it_stops_fitting(
    pattern: str, paths: list[str], sentence: str
) -> None:
    assert nearest_miss(Pattern(pattern), paths) == sentence


def test_what_is_read_as_something_else_is_not_counted() -> None:
    unread = Unread(Pattern("{well}.tif"), read=[Pattern("m/{well}.png")], paths=["t.csv"])
    for path in ("m/A1.png", "t.csv", "m/A1.jpg"):
        unread.file(path)
    assert unread.facts()["others"] == {"count": 1, "examples": ["m/A1.jpg"]}


def test_channels_beyond_the_first_are_counted_together() -> None:
    unread = Unread(Pattern("{well}_{channel}.tif", {"channel": ["dna"]}))
    for i in range(MOST_CHANNELS + 5):
        unread.file(f"A1_c{i}.tif")
    channels = unread.facts()["channels"]
    assert len(channels) == MOST_CHANNELS + 1
    assert list(channels)[-1] == FURTHER
    assert channels[FURTHER]["count"] == 5


def test_a_name_that_is_not_utf8_can_be_written_into_a_manifest() -> None:
    unread = Unread(Pattern("{well}.tif"))
    unread.file("a\udcff.txt")
    assert unread.facts()["others"]["examples"] == ["a\\udcff.txt"]


def test_a_mask_or_picture_made_of_an_image_that_is_read_does_not_nearly_fit() -> None:
    unread = Unread(Pattern(r"{well}_s{site:\d+}.tif"))
    made = ["A1_s1_mask.png", "A1_s1_cp_masks.tif", "A1_s1-seg.tif", "A1_s1 labels2.TIF", "A1_s1_nuclei_outlines.png"]
    missed = ["A1_s2_mask.tif", "A1_s1_b.tif", "A1_s1mask.tif"]
    for name in (*made, *missed):
        unread.file(f"p/{name}", lambda path: path == "p/A1_s1.tif")
    assert unread.facts()["near"] == {}
    assert unread.facts()["others"]["count"] == len(made) + len(missed)
    for name in (*made, *missed):
        unread.file(name, lambda path: path == "A1_s1.tif")
    assert unread.facts()["near"] == {"text of a field": {"count": len(missed), "examples": missed}}
