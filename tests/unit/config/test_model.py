"""Model files: parts that fit together, and the files of the project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from phenoloom.config.model import ImageModel, Model, ShapeModel
from phenoloom.config.training import Training
from phenoloom.config.yaml_file import read_yaml

TILES: dict[str, Any] = {"view": "tiles", "objective": {"name": "ae"}}
SHOWN = {"encoder", "latent"}
"""Keys that a model file shows even at their defaults."""


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({**TILES, "encoder": "vit-small", "patch": 16, "input_size": 40}, "must be a multiple of 16 px"),
        ({**TILES, "input_size": 40}, r"must be a multiple of 32 px \(a ResNet's reduction\)"),
        ({**TILES, "registers": 4}, "belong to a ViT, and the encoder is resnet18"),
        ({**TILES, "contrast": {"pairs": "channels"}}, "needs `channels.mode: separate` or `replicate`"),
    ],
)
def test_parts_of_a_model_of_tiles_that_do_not_fit_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ImageModel(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"objective": {"name": "contrast"}}, "so `augment` must"),
        ({"objective": {"name": "ae", "penalties": {"diagonal": 1}}}, "`objective.penalties` belong to"),
        ({"objective": {"name": "ae"}, "training": {"foreground_exponent": 1}}, "is for models of tiles"),
    ],
)
def test_parts_of_a_model_of_contours_that_do_not_fit_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ShapeModel(view="shapes", **values)


def test_metadata_that_training_uses_is_stated() -> None:
    assert ImageModel(**TILES).supervision == "none"
    assert ImageModel(**TILES, contrast={"pairs": "views"}).supervision == "none"
    assert ImageModel(**TILES, contrast={"pairs": "labels"}).supervision == "labels"


def test_where_and_how_a_model_trains_is_no_part_of_what_its_weights_depend_on() -> None:
    placed = Training(nodes=2, devices=4, accelerator="gpu", compile=True, gradient_checkpointing=True, epochs=7)
    assert placed.without_placement() == Training(epochs=7)


def test_model_files_give_only_keys_that_differ_from_their_defaults(repository: Path) -> None:
    """A repeated default would hide the choices of a file, and drift from the manual."""
    for path in sorted((repository / "config" / "models").glob("*.yaml")):
        values = read_yaml(path)
        model = TypeAdapter(Model).validate_python(values)
        repeated = [key for key in defaults(model, values) if key not in SHOWN]
        assert not repeated, f"{path.name} repeats the defaults of {', '.join(repeated)}"


def defaults(section: BaseModel, values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys in `values` that have the default of their section."""
    for key, value in values.items():
        field, found = type(section).model_fields[key], getattr(section, key)
        if isinstance(found, BaseModel):
            yield from defaults(found, value, f"{prefix}{key}.")
        elif not field.is_required() and found == field.get_default(call_default_factory=True):
            yield f"{prefix}{key}"
