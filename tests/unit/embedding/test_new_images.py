"""Settings of the steps that make new images like those of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.studies import StudyOnDisk

from phenoloom.config.source import Masks, Points
from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding.new_images import NewImages, Steps, steps_for
from phenoloom.models.preprocessing import Preparation, preparation_of

FILES = "{well}_{channel}.tif"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Preparation]:
    """How the tiles (40 px of 0.5 µm, masks by threshold) and contours of a study were made."""
    study = StudyOnDisk(tmp_path_factory.mktemp("study"), wells=1, per_well=1, shards=1)
    found = {"tiles": preparation_of(study.tiles), "contours": preparation_of(study.shapes)}
    return {name: one for name, one in found.items() if one is not None}


def steps(made: Preparation, **changes: Any) -> Steps:
    return steps_for(made, NewImages(Path("new"), **changes), "new")


def test_new_tiles_are_made_in_the_new_folder_with_the_settings_of_training(prepared: dict[str, Preparation]) -> None:
    found = steps(prepared["tiles"], files=FILES, max_rejected_fraction=0.5)
    trained = prepared["tiles"].convert
    assert trained is not None
    assert found.convert == trained.model_copy(update={"study": "new", "root": "new", "max_rejected_fraction": 0.5})
    assert found.contours is None
    assert found.sheet.source.files == FILES
    assert found.sheet.shards == 1


def test_new_files_are_read_by_the_image_level_and_plane_of_training(prepared: dict[str, Preparation]) -> None:
    convert = prepared["tiles"].convert
    assert convert is not None
    masks = Masks(files="{well}_mask.tif", plane=1, image="cells", level=2)
    trained = convert.model_copy(update={"image": "overview", "level": 1, "masks": masks})
    found = steps(Preparation(convert=trained, dtype="uint16"), files=FILES, masks="{well}.png")
    assert found.reader is not None
    assert found.convert is not None
    assert found.convert.masks == masks.model_copy(update={"files": "{well}.png"})
    for read in (found.reader, found.sheet.source, found.convert):
        assert (read.image, read.level) == ("overview", 1)


def test_lengths_keep_their_size_in_micrometres(prepared: dict[str, Preparation]) -> None:
    found = steps(prepared["tiles"], files=FILES, pixel_size_um=0.25).convert
    assert found is not None
    assert found.masks is not None
    assert (found.tiles.size, found.pixel_size_um, found.masks.min_area_px) == (80, 0.25, 80)


def test_pages_are_read_in_the_order_of_the_model(prepared: dict[str, Preparation]) -> None:
    found = steps(prepared["tiles"], files="{well}.tif", channels=("actin", "other", "DNA")).reader
    assert found is not None
    assert (found.channels, found.select, found.dtype) == (3, (2, 0), "uint16")


def test_contours_come_from_tiles_masks_or_outlines(prepared: dict[str, Preparation]) -> None:
    made = prepared["contours"]
    with_tiles = steps(made, files=FILES)
    assert with_tiles.convert is not None
    assert with_tiles.contours is not None
    assert with_tiles.contours.source == "tiles"
    masks = steps(made, masks="{well}.png", objects="one")
    assert masks.convert is None
    assert masks.contours is not None
    assert masks.contours.masks is not None
    assert (masks.contours.source, masks.contours.masks.objects) == ("masks", "one")
    # The size below which objects are left out is that of training.
    assert masks.contours.masks.min_area_px == 20
    outlines = steps(made, outlines="cells.txt")
    assert outlines.contours is not None
    assert outlines.contours.source == "outlines"
    assert outlines.contours.points == 32


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("tiles", {"files": FILES, "channels": ("DNA",)}, "`--channels` lacks actin"),
        ("tiles", {"outlines": "cells.txt"}, "looks at pixels"),
        ("contours", {"outlines": "cells.txt", "channels": ("DNA",)}, "have no channels"),
        ("contours", {"outlines": "cells.txt", "masks": "{well}.png"}, "not both"),
    ],
)
def test_what_a_model_cannot_use_is_refused(
    kind: str, changes: dict[str, Any], sentence: str, prepared: dict[str, Preparation]
) -> None:
    with pytest.raises(PhenoloomError, match=sentence):
        steps(prepared[kind], **changes)


def test_a_model_of_windows_around_points_needs_points_and_no_other_does(prepared: dict[str, Preparation]) -> None:
    convert = prepared["tiles"].convert
    assert convert is not None
    around = Preparation(convert=convert.model_copy(update={"masks": None, "places": True}), dtype="uint16")
    with pytest.raises(PhenoloomError, match=r"trained on windows around points .* give `--points TABLE`"):
        steps(around)
    found = steps(around, points="cells.csv")
    assert found.convert is not None
    assert found.convert.places
    assert found.objects is not None
    assert found.objects.source.points == Points(path="cells.csv", join={"image": "image"}, x="x", y="y")
    with pytest.raises(PhenoloomError, match="tiles that need no points; leave out `--points`"):
        steps(prepared["tiles"], points="cells.csv")


def test_points_that_labelled_objects_are_not_asked_for_again(prepared: dict[str, Preparation]) -> None:
    convert = prepared["tiles"].convert
    assert convert is not None
    found = steps(Preparation(convert=convert.model_copy(update={"places": True}), dtype="uint16"))
    assert found.convert is not None
    assert not found.convert.places
    assert found.objects is None


def test_a_model_that_states_nothing_is_refused() -> None:
    with pytest.raises(PhenoloomError, match="does not state how its tiles or contours were made"):
        steps(Preparation(), files=FILES)
