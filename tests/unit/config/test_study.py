"""Sections of a study that must fit together."""

from __future__ import annotations

from typing import Any

import pytest
from tests.helpers.configuration import changed

from phenoloom.config.study import Study


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("representations", "x"), {"concatenate": ["regionprops", "y"]}, "names 'y', which is not a representation"),
        (("representations", "x"), {"concatenate": ["regionprops", "x"]}, "names 'x', which is itself concatenated"),
        (("source", "channels"), [], "`source.channels` must name the channels"),
        (("source", "masks"), None, "`source.masks` must say where objects come from"),
        (("tiles", "mode"), "grid", "a grid cuts objects; use `tiles.mode: objects`"),
        (("tiles",), None, "`shapes` without `tiles` come from mask files"),
        (("transfer",), ["a", "a"], "must name each study once"),
    ],
)
def test_sections_that_do_not_fit_are_refused(keys: tuple[str, ...], value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Study.model_validate(changed(*keys, value=value))


def test_keys_that_the_mode_of_tiles_leaves_without_effect_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`tiles.min_foreground` leaves out tiles of a grid"):
        Study.model_validate(changed("tiles", "min_foreground", value=0.1))
    grid = {**changed("tiles", value={"mode": "grid"}), "shapes": None}
    grid["source"] = {**grid["source"], "masks": {"min_area_px": 9}}
    with pytest.raises(ValueError, match=r"`masks.min_area_px` has no effect .* A grid has tiles and not objects"):
        Study.model_validate(grid)


def test_a_study_without_a_view_is_refused() -> None:
    with pytest.raises(ValueError, match="give `tiles`, `shapes` or both"):
        Study.model_validate({**changed("tiles", value=None), "shapes": None})


def test_one_model_cannot_be_trained_in_two_ways() -> None:
    ways = {"x": {"model": "m", "trained_on": ["b", "a"]}, "y": {"model": "m", "trained_on": ["a", "b"]}}
    study = Study.model_validate(changed("representations", value=ways))
    assert study.trained_as("m.on-a_b") is study.representations["x"]
    ways["y"]["shared_groups"] = "keep"
    with pytest.raises(ValueError, match=r"`representations.y` trains m.on-a_b in another way"):
        Study.model_validate(changed("representations", value=ways))
