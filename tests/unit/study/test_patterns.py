from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.core.errors import PhenoloomError
from phenoloom.study.patterns import Pattern

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda text: not text.startswith(".")
)


def test_fields_hold_the_text_between_the_literals() -> None:
    found = Pattern("{plate}/{well}_s{site}_{channel}.tif").match("P 1/B03_s2_dna.tif")
    assert found == {"plate": "P 1", "well": "B03", "site": "2", "channel": "dna"}


def test_a_regex_with_braces_narrows_a_field() -> None:
    pattern = Pattern(r"{well:[A-H]\d{2}}_{site:\d{1,2}}.tif")
    assert pattern.match("B03_7.tif") == {"well": "B03", "site": "7"}
    assert pattern.match("B3_7.tif") is None
    assert pattern.match("B03_123.tif") is None


def test_a_field_does_not_span_folders() -> None:
    assert Pattern("{image}.tif").match("a/b.tif") is None
    with pytest.raises(PhenoloomError, match="must not span folders"):
        Pattern("{image:.*/.*}.tif")


@pytest.mark.parametrize("literal", ["SARS-CoV2[2454]", "a'b\"c", "$HOME", "plate (1) + x*?", "Zürich", "a|b"])
def test_characters_that_mean_something_to_shells_and_regexes_are_literal(literal: str) -> None:
    assert Pattern(f"{literal}/{{image}}.tif").match(f"{literal}/x.tif") == {"image": "x"}
    assert Pattern("{folder}/{image}.tif").match(f"{literal}/x.tif") is not None


def test_names_with_accents_match_in_either_unicode_form() -> None:
    assert Pattern("Zu\u0308rich_{image}.tif").match("Z\u00fcrich_e\u0301.tif") == {"image": "\u00e9"}


def test_a_field_that_occurs_twice_must_hold_the_same_text() -> None:
    pattern = Pattern("{plate}/{plate}_{well}.tif")
    assert pattern.match("P1/P1_A1.tif") == {"plate": "P1", "well": "A1"}
    assert pattern.match("P1/P2_A1.tif") is None
    assert Pattern("{a}-{a}.tif").match("x-y.tif") is None


def test_doubled_braces_are_braces() -> None:
    assert Pattern("{{{image}}}.tif").match("{x}.tif") == {"image": "x"}


def test_hidden_files_are_matched_by_no_field() -> None:
    assert Pattern("{image}.tif").match("._x.tif") is None


def test_choices_are_tried_longest_first() -> None:
    pattern = Pattern("{well}{channel}.tif", {"channel": ["A", "BA", "B"]})
    assert pattern.match("wBA.tif") == {"well": "w", "channel": "BA"}
    assert pattern.match("wC.tif") is None


@pytest.mark.parametrize("text", ["../{image}.tif", "/data/{image}.tif", "a//{image}.tif", "./{image}", "{image}/"])
def test_a_pattern_that_leads_out_of_the_root_is_refused(text: str) -> None:
    with pytest.raises(PhenoloomError, match="below the root"):
        Pattern(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{image", "without `}`"),
        ("image}", "without `{`"),
        ("{image id}.tif", "'image id'"),
        ("{image:[}.tif", "no regex"),
        ("{}.tif", "letters, digits"),
    ],
)
def test_a_malformed_pattern_is_refused_with_its_fault(text: str, complaint: str) -> None:
    with pytest.raises(PhenoloomError, match=complaint):
        Pattern(text)


@given(NAMES, NAMES)
def test_every_path_matches_its_own_text_as_a_literal(folder: str, name: str) -> None:
    text = f"{folder}/{name}".replace("{", "{{").replace("}", "}}")
    assert Pattern(text).match(f"{folder}/{name}") == {}


def test_text_that_is_not_kept_may_differ_each_time() -> None:
    pattern = Pattern(r"{_}/{well}_{_}_{_:\d+}.tif")
    assert pattern.match("x/A1_y_12.tif") == {"well": "A1"}
    assert pattern.match("x/A1_y_z.tif") is None
    assert pattern.fields == {"well"}


@pytest.mark.parametrize(
    ("text", "path", "fields"),
    [
        ("{plate}/{**}/{well}.tif", "P/A1.tif", {"plate": "P", "well": "A1"}),
        ("{plate}/{**}/{well}.tif", "P/x/y/A1.tif", {"plate": "P", "well": "A1"}),
        ("{**}/{plate}/{_}/{well}.tif", "x/y/P/z/A1.tif", {"plate": "P", "well": "A1"}),
        ("{**}/{plate:P\\d}/{**}/{well}.tif", "x/P1/P2/A1.tif", {"plate": "P1", "well": "A1"}),
        ("{**}/{**}/{well}.tif", "a/b/A1.tif", {"well": "A1"}),
        ("{**}/{plate}/{plate}_{well}.tif", "x/P/P_1.tif", {"plate": "P", "well": "1"}),
        ("{**}/{plate}/{_}/{well}.tif", "P/A1.tif", None),
        ("{plate}/{**}/{well}.tif", "P/.hidden/A1.tif", None),
        ("{plate}/{**}/{well}.tif", "P/x/A1.png", None),
    ],
)
def test_any_number_of_folders_may_lie_between(text: str, path: str, fields: dict[str, str] | None) -> None:
    assert Pattern(text).match(path) == fields


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{plate}/{**}", "ends in folders"),
        ("x{**}/{well}.tif", "beside other text"),
        ("{**:x}/{a}.tif", "field's name"),
    ],
)
def test_folders_stand_alone_and_before_a_file(text: str, complaint: str) -> None:
    with pytest.raises(PhenoloomError, match=complaint):
        Pattern(text)


PLAIN = st.text(st.sampled_from("abXY01 -é[](+$"), min_size=1, max_size=6)
BETWEEN = st.text(st.sampled_from("_.{}"), min_size=1, max_size=3)


@given(st.lists(st.lists(st.tuples(PLAIN, BETWEEN), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_names_that_are_composed_of_fields_are_taken_apart_again(
    folders: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    # Texts have none of the characters between them, so that there is one way to take a name apart.
    values, pattern, path = {}, [], []
    for depth, parts in enumerate(folders):
        written, name = "", ""
        for i, (value, between) in enumerate(parts):
            field = f"f{depth}_{i}"
            values[field] = value
            written += f"{{{field}}}" + between.replace("{", "{{").replace("}", "}}")
            name += value + between
        pattern.append(written)
        path.append(name)
    place = data.draw(st.integers(0, len(path) - 1))
    between = data.draw(st.lists(PLAIN, max_size=3))
    extra = "/".join([*path[:place], *(f"{folder}~" for folder in between), *path[place:]])
    assert Pattern("/".join(pattern)).match("/".join(path)) == values
    assert Pattern("/".join([*pattern[:place], "{**}", *pattern[place:]])).match(extra) == values
