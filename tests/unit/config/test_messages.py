"""Error messages of sections: they name the place, the key as it was written, and the nearest valid key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from pydantic import Field
from tests.helpers.configuration import STUDY, changed, load, write_model

from phenoloom.config.base import Section
from phenoloom.config.image_objectives import ImageObjective
from phenoloom.config.messages import sections_in, validated
from phenoloom.config.run import Config
from phenoloom.config.shape_objectives import ShapeObjective
from phenoloom.config.study import Classify, Study, Tiles
from phenoloom.core.errors import PhenoloomError


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("license",), "CC0", "unknown key `license`; did you mean 'licence'?"),
        (("tiles", "sise"), 3, "unknown key `tiles.sise`; did you mean 'size'?"),
        (("source", "masks", "min_area"), 3, "unknown key `source.masks.min_area`; did you mean 'min_area_px'?"),
        (("representations", "x"), {"modle": "m"}, "unknown key `representations.x.modle`; did you mean 'model'?"),
        (("report", "xyz"), 3, "unknown key `report.xyz`; valid keys here: map_points, sample_tiles"),
        (("tiles", "size"), "big", "`tiles.size`: input should be a valid integer"),
        (("licence",), "", "`licence`"),
        (("folds",), {"count": 1}, "`folds.count`"),
        (("seed",), 2**32, "`seed`"),
    ],
)
def test_a_message_names_the_place_and_the_key(keys: tuple[str, ...], value: Any, sentence: str) -> None:
    with pytest.raises(PhenoloomError) as caught:
        validated(Study, changed(*keys, value=value), "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert sentence in str(caught.value)


def test_a_missing_key_is_named() -> None:
    study = {key: value for key, value in STUDY.items() if key != "licence"}
    with pytest.raises(PhenoloomError, match=r"`licence`: field required$"):
        validated(Study, study, "mine.yaml")


def test_each_mistake_has_a_line_of_its_own() -> None:
    with pytest.raises(PhenoloomError) as caught:
        validated(Config, {"study": ["demo"], "results": ""}, "config.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_the_objective_is_no_part_of_the_key_that_a_message_names(config_dir: Path) -> None:
    with pytest.raises(PhenoloomError, match=r"unknown key `objective\.code`; did you mean 'codes'\?"):
        load(config_dir, changed("models", "vqvae", value={"objective": {"code": 3}}))


def test_no_name_of_an_objective_is_read_as_a_key(config_dir: Path) -> None:
    for union in (ImageObjective, ShapeObjective):
        for section in sections_in(union):
            (name,) = get_args(section.model_fields["name"].annotation)
            values = {"view": "tiles" if union is ImageObjective else "shapes", "objective": {"name": name, "nane": 3}}
            write_model(config_dir, values)
            with pytest.raises(PhenoloomError, match=r"unknown key `objective\.nane`; did you mean 'name'\?"):
                load(config_dir, STUDY)


def test_sections_are_found_at_any_depth_of_an_annotation() -> None:
    annotation = dict[str, Annotated[list[Tiles | None], Field()]] | Classify
    assert list(sections_in(annotation)) == [Tiles, Classify]
    assert list(sections_in(list[int])) == []
    assert issubclass(Tiles, Section)
