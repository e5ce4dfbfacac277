"""What a check says of small studies, whole and broken, and that it is green only where the study would get through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.helpers.images import write_tiff

from phenoloom.cli.main import main

OBJECTS = {"mode": "objects", "size": 32}


class Checked:
    """A study in a folder of its own, and what a check says of it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.raw, self.capsys = folder, folder / "data" / "raw", capsys
        self.raw.mkdir(parents=True)
        (folder / "config" / "studies").mkdir(parents=True)
        (folder / "config" / "config.yaml").write_text("studies: [mine]\ndata_root: nowhere\n")

    def check(self, source: dict[str, Any], *, status: int = 0, **sections: Any) -> str:
        """What is printed, the errors too; `status` is the exit status that it must have."""
        study = {
            "title": "Mine",
            "licence": "CC0-1.0",
            "source": {"root": "raw", **source},
            "tiles": OBJECTS,
            "representations": {"intensity": {"descriptors": "intensity"}},
            "folds": {"count": 2, "group": "well"},
            **sections,
        }
        text = yaml.safe_dump({key: value for key, value in study.items() if value is not None})
        (self.folder / "config" / "studies" / "mine.yaml").write_text(text)
        return self.run(f"data_root={self.folder / 'data'}", status=status)

    def run(self, *pairs: str, studies: Sequence[str] = (), status: int = 0) -> str:
        folder = ["--config-dir", str(self.folder / "config")]
        assert main(["check", *studies, *folder, "--config", *pairs]) == status
        printed = self.capsys.readouterr()
        return printed.out + printed.err


@pytest.fixture
def mine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Checked:
    return Checked(tmp_path, capsys)


def cells(objects: int = 2, size: int = 96, dtype: str = "uint16") -> np.ndarray:
    """An image (size, size) with bright squares of 12 px."""
    image = np.full((size, size), 10, dtype)
    for i in range(objects):
        image[10 + 20 * i : 22 + 20 * i, 40:52] = 200
    return image


FIELDS = {"files": "{well}_{field}.tif", "channels": ["DNA"], "masks": {}}


def write_wells(mine: Checked, wells: int = 8, fields: int = 2) -> dict[str, Any]:
    """Fields of wells in two classes by a table with a row too many."""
    lines = ["Well,Drug"]
    for well in range(1, wells + 1):
        for site in range(fields):
            write_tiff(mine.raw / f"A{well:02d}_{site}.tif", cells())
        lines.append(f"A{well:02d},{'drug' if well % 2 else 'control'}")
    (mine.raw / "table.csv").write_text("\n".join([*lines, "H12,drug"]))
    return {**FIELDS, "table": {"path": "table.csv", "join": {"well": "Well"}}, "columns": {"label": "Drug"}}


def test_a_whole_study_is_valid_and_described(mine: Checked) -> None:
    printed = mine.check(write_wells(mine, fields=5))
    assert printed.startswith("mine: valid\n")
    assert "40 images, 8 wells, 1 shard" in printed
    assert "8 of 9 rows belong to an image" in printed
    assert "1 row without an image: 'H12'" in printed
    assert "8 of 40 images read" in printed
    assert "uint16, 1 channel, 96 x 96 px: 8 images, 16 objects, 16 tiles" in printed
    assert "2 classes of images: control 20 in 4 wells, drug 20 in 4 wells" in printed
    assert "2 folds of 4 wells" in printed


def test_images_left_out_are_counted_by_reason_with_examples(mine: Checked) -> None:
    source = write_wells(mine)
    for file in sorted(mine.raw.glob("*.tif")):
        file.rename(file.with_name(f"{file.stem}_d0.tif"))
        write_tiff(file.with_name(f"{file.stem}_d1.tif"), cells())
    for site in range(2):
        (mine.raw / f"A03_{site}_d1.tif").unlink()
    source |= {"files": "{well}_{field}_{channel}.tif", "channels": {"DNA": "d0", "ER": "d1"}}
    printed = mine.check(source, max_rejected_fraction=0.2)
    assert "left out: 2 images\n             2 x there is no file for channel 'ER' (A03/0, A03/1)" in printed
    assert "mine: valid" in printed


def test_files_that_are_not_read_are_counted_and_named(mine: Checked) -> None:
    source = write_wells(mine)
    for file in sorted(mine.raw.glob("*.tif")):
        file.rename(file.with_name(f"{file.stem}_d0.tif"))
        write_tiff(file.with_name(f"{file.stem}_bf.tif"), cells())
    (mine.raw / "A01_7_d0.TIF").touch()
    (mine.raw / "Thumbs.db").touch()
    (mine.raw / "spare").mkdir()
    (mine.raw / "table.csv").write_text((mine.raw / "table.csv").read_text() + "\nH11")
    source |= {"files": "{well}_{field}_{channel}.tif", "channels": {"DNA": "d0"}}
    printed = mine.check(source)
    assert "channel 'bf' is not read: 16 files (A01_0_bf.tif, A01_1_bf.tif, A02_0_bf.tif, ...)" in printed
    assert "1 file not read, for `source.files` fits but for the letter case (A01_7_d0.TIF)" in printed
    assert "1 other file: Thumbs.db" in printed
    assert "1 folder not opened: spare/" in printed
    assert "1 row with fewer cells than the header, read as empty (line 11)" in printed
    printed = mine.check(source | {"ignore_channels": ["bf"], "ignore_files": ["{_}.TIF"]})
    assert "not read" not in printed
    assert "17 files ignored on purpose" in printed


def test_files_of_no_known_format_are_no_valid_study(mine: Checked) -> None:
    source = write_wells(mine)
    for number, file in enumerate(sorted(mine.raw.glob("*.tif"))):
        file.write_bytes(np.random.default_rng(number).bytes(1000))
        file.rename(file.with_suffix(".czi"))
    printed = mine.check(source | {"files": "{well}_{field}.czi"}, status=1)
    assert "16 of 16 images read" in printed
    assert "16 x expected a TIFF, PNG, JPEG or BMP image" in printed
    assert "100% of the images of shard 0000 cannot be used, more than max_rejected_fraction = 0.1" in printed


def test_a_kind_of_files_that_cannot_be_read_is_found_among_many_others(mine: Checked) -> None:
    """One well has files of another ending, and they are no images."""
    source = write_wells(mine, fields=8)
    for file in mine.raw.glob("A05_*.tif"):
        file.write_bytes(b"not an image" * 700)
        file.rename(file.with_suffix(".tiff"))
    printed = mine.check(source | {"files": "{well}_{field}.{ending}"}, status=1)
    assert "8 of those read cannot be used" in printed
    assert "12% of the images of shard 0000 cannot be used" in printed
    assert "mine: valid" in mine.check(source | {"files": "{well}_{field}.{ending}"}, max_rejected_fraction=0.125)


def test_pixels_of_another_type_than_the_first_image_has_are_found(mine: Checked) -> None:
    source = write_wells(mine, fields=1)
    write_tiff(mine.raw / "A04_0.tif", cells(dtype="uint8"))
    printed = mine.check(source, status=1)
    assert "expected pixels of type uint16 like the study's first image, found uint8 (A04/0)" in printed


def test_masks_are_read_and_must_fit_their_images(mine: Checked) -> None:
    source = write_wells(mine, fields=1)
    for number, file in enumerate(sorted(mine.raw.glob("*.tif"))):
        mask = (cells() == 200).astype(np.uint8)
        Image.fromarray(mask[: 50 if number == 2 else 96]).save(file.with_suffix(".png"))
    source["masks"] = {"files": "{well}_{field}.png", "objects": "components"}
    printed = mine.check(source, status=1)
    assert "1 x expected a mask of 96 x 96 px like its image, found 50 x 96 px in A03_0.png (A03/0)" in printed
    assert "7 images, 14 objects, 14 tiles" in printed


def test_objects_larger_than_the_window_are_told_with_the_size_that_would_keep_them(mine: Checked) -> None:
    # Two squares an image, and a large one in every second well.
    source = write_wells(mine)
    for number, file in enumerate(sorted(mine.raw.glob("*.tif"))):
        image = cells()
        if number % 4 < 2:
            image[50:90, 50:80] = 200
        write_tiff(file, image)
    printed = mine.check(
        source | {"masks": {"min_area_px": 4, "split_distance_px": 40}}, tiles={"mode": "objects", "size": 32}
    )
    assert "are larger than the window of 32 px and get no tile; `tiles.size: 40` would keep 99 %" in printed


def test_a_study_without_a_single_tile_is_not_valid(mine: Checked) -> None:
    source = write_wells(mine) | {"masks": {"min_area_px": 1000}}
    printed = mine.check(source, status=1)
    assert "left out: 32 x object smaller than min_area_px" in printed
    assert "none of 16 images that can be read gives a tile (32 x object smaller than min_area_px)" in printed


def test_a_channel_that_the_study_lacks_is_named(mine: Checked) -> None:
    printed = mine.check(write_wells(mine) | {"masks": {"channel": "ER"}}, status=1)
    assert "`source.masks.channel` is 'ER', but the channels are DNA" in printed
    assert "2 folds of 4 wells" in printed


def write_outlines(mine: Checked, *points: int) -> dict[str, Any]:
    """Outlines with these numbers of points, on a circle of 20 px."""
    lines = ["object,x,y"]
    for name, n in enumerate(points):
        angle = np.arange(n) * 2 * np.pi / n
        lines += [f"{name},{20 * np.cos(a):.3f},{20 * np.sin(a):.3f}" for a in angle]
    (mine.raw / "outlines.csv").write_text("\n".join(lines))
    rows = [f"{name},{'odd' if name % 2 else 'even'}" for name in range(len(points))]
    (mine.raw / "table.csv").write_text("\n".join(["object,label", *rows]))
    table = {"path": "table.csv", "join": {"object": "object"}}
    return {"outlines": {"path": "outlines.csv", "format": "table"}, "table": table}


SHAPES = {
    "tiles": None,
    "shapes": {"points": 32},
    "representations": {"regionprops": {"descriptors": "regionprops"}},
    "folds": {"count": 2, "group": "object"},
}


def test_outlines_of_one_point_are_no_valid_study(mine: Checked) -> None:
    printed = mine.check(write_outlines(mine, 1, 1, 1, 1), status=1, **SHAPES)
    assert "0 of 4 outlines become contours" in printed
    assert "4 x outline with fewer than min_points distinct points" in printed
    assert "no outline becomes a contour (4 x outline with fewer than min_points distinct points)" in printed


def test_some_outlines_without_a_contour_are_counted(mine: Checked) -> None:
    printed = mine.check(write_outlines(mine, 40, 40, 40, 40, 5), **SHAPES)
    assert "4 of 5 outlines become contours" in printed
    assert "2 classes of outlines: even 3, odd 2" in printed


def test_mask_files_of_a_study_without_tiles_are_traced(mine: Checked) -> None:
    for name in ("dog-1", "dog-2", "cat-1", "cat-2"):
        Image.fromarray((cells(1) == 200).astype(np.uint8)).save(mine.raw / f"{name}.png")
    pattern = "{label}-{number}.png"
    sections = SHAPES | {"folds": {"count": 2, "group": "image"}}
    printed = mine.check({"files": pattern, "masks": {"files": pattern, "objects": "one"}}, **sections)
    assert "masks: 4 images, 4 objects, 4 contours" in printed
    assert "2 folds of 2 images" in printed


def test_units_without_a_well_are_no_valid_study(mine: Checked) -> None:
    for name in range(4):
        write_tiff(mine.raw / f"{name}.tif", cells())
    printed = mine.check({**FIELDS, "files": "{image}.tif"}, status=1, classify={"unit": "well"})
    assert "Image '0' has no well, but classify.unit" in printed


def test_too_few_groups_are_refused_in_the_words_of_folds(mine: Checked) -> None:
    printed = mine.check(write_wells(mine), status=1, folds={"count": 9, "group": "well"})
    assert "9 folds need at least 9 labelled groups, but folds.group = well gives 8" in printed


def test_all_images_of_a_small_study_are_read(mine: Checked) -> None:
    source = write_wells(mine)
    for name in ("A03_1.tif", "A07_0.tif"):
        (mine.raw / name).write_bytes(b"II*\0")
    assert "12% of the images of shard 0000 cannot be used" in mine.check(source, status=1)


def test_what_is_there_is_looked_at_although_too_many_images_are_left_out(mine: Checked) -> None:
    source = write_wells(mine) | {"files": "{well}_{field}_{channel}.tif", "channels": {"DNA": "d0", "ER": "d1"}}
    for file in sorted(mine.raw.glob("*.tif")):
        file.rename(file.with_name(f"{file.stem}_d0.tif"))
        if "A03" not in file.name:
            write_tiff(file.with_name(f"{file.stem}_d1.tif"), cells())
    printed = mine.check(source, status=1)
    assert printed.startswith("mine: 1 problem\n")
    assert "2 of 16 images cannot be used, more than max_rejected_fraction = 0.1 allows" in printed
    assert "uint16, 2 channels, 96 x 96 px: 14 images, 28 objects, 28 tiles" in printed
    assert "2 folds of 3 to 4 wells" in printed


def test_a_class_in_too_few_groups_is_named(mine: Checked) -> None:
    source = write_wells(mine)
    table = mine.raw / "table.csv"
    table.write_text(table.read_text().replace("A08,control", "A08,rare"))
    printed = mine.check(source)
    assert "rare 2 in 1 well" in printed
    assert "left out, in fewer than 2 groups: rare" in printed


def test_folds_of_objects_are_not_judged_before_the_objects_are_known(mine: Checked) -> None:
    printed = mine.check(write_wells(mine), folds={"count": 30, "group": "object"})
    assert "folds    not known yet: each object is a group" in printed


def test_a_study_without_labels_is_valid_and_told_that_it_has_no_scores(mine: Checked) -> None:
    source = {name: value for name, value in write_wells(mine).items() if name not in ("table", "columns")}
    printed = mine.check(source, folds={"count": 2, "group": "well"})
    assert "it will be embedded and reported without scores: no object has a label" in " ".join(printed.split())


def test_all_studies_are_looked_at_and_the_bad_ones_named(mine: Checked) -> None:
    mine.check(write_wells(mine))
    (mine.folder / "config" / "studies" / "other.yaml").write_text("title: Other\n")
    root = f"data_root={mine.folder / 'data'}"
    printed = mine.run(root, status=1)
    assert "mine: valid" in printed
    assert "1 of 2 studies need attention: other" in printed
    assert "other" not in mine.run(root, "studies=[mine]")
    assert "other" not in mine.run(root, studies=["mine"])
    assert "there is no folder nowhere/raw; give the folder that" in mine.run(studies=["mine"], status=1)


def test_raw_data_that_is_simulated_needs_no_folder(mine: Checked) -> None:
    printed = mine.check({**FIELDS, "simulate": {"plates": 1}})
    assert "mine: valid; its raw data is simulated when it runs" in printed


def test_a_table_of_objects_is_joined_and_its_labels_and_folds_are_said(mine: Checked) -> None:
    write_wells(mine)
    rows = [f"A{well:02d},{n},{n},40,{'ab'[n]},{well}\n" for well in range(1, 9) for n in (0, 1)]
    text = "Well,site,n,x,type,patient\n" + "".join(rows) + "H12,0,1,40,a,9\nA01,0,,40,a,1\n"
    (mine.raw / "cells.csv").write_text(text)
    points = {
        "path": "cells.csv",
        "join": {"well": "Well", "field": "site"},
        "object": "n",
        "x": "x",
        "y": "x",
        "label": "type",
        "group": "patient",
    }
    source = {name: FIELDS[name] for name in ("files", "channels")}
    printed = mine.check({**source, "points": points}, folds={"count": 2, "group": "group"})
    assert "objects  16 of 18 rows of cells.csv belong to an image\n" in printed
    assert "1 other file: table.csv\n" in printed
    assert "1 row without an image: row 17 (site '0', Well 'H12', n '1')\n" in printed
    assert "1 row without a usable number or point: row 18" in printed
    assert "16 images, 16 tiles" in printed
    assert "labels   2 classes of objects: a 8 in 8 groups, b 8 in 8 groups" in printed
    assert "folds    2 folds of 4 groups" in printed


def test_rows_of_objects_are_compared_with_the_masks_of_the_images_that_are_read(mine: Checked) -> None:
    write_wells(mine)
    objects = {"path": "cells.csv", "join": {"well": "Well", "field": "site"}, "x": "x", "y": "y", "label": "type"}
    # The squares of an image begin at (40, 10) and (40, 30).
    rows = [f"A{well:02d},0,{x},{y},{kind}\n" for well in range(1, 9) for x, y, kind in ((45, 15, "a"), (45, 35, "b"))]
    (mine.raw / "cells.csv").write_text("Well,site,x,y,type\n" + "".join(rows) + "A01,0,2,2,a\n")
    printed = mine.check({**FIELDS, "objects": objects})
    assert "16 of 17 rows of the table of objects have an object" in printed
    (mine.raw / "cells.csv").write_text("Well,site,x,y,type\n" + "".join(rows).replace(",45,", ",4.5,"))
    printed = mine.check({**FIELDS, "objects": objects}, status=1)
    assert "only 0 of 16 rows of cells.csv belong to an object of their image" in printed
    assert "correct `source.objects.x` and `y` (in px, not in µm), or its `join`" in printed


def test_a_table_of_objects_that_fits_no_image_is_said_once(mine: Checked) -> None:
    write_wells(mine)
    (mine.raw / "cells.csv").write_text("Well,x,y,type\nP12,1,1,a\n")
    objects = {"path": "cells.csv", "join": {"well": "Well"}, "x": "x", "y": "y", "label": "type"}
    printed = mine.check({**FIELDS, "objects": objects}, status=1)
    assert printed.count("None of the 1 rows of cells.csv belongs to an image") == 1


@pytest.mark.parametrize("masks", [None, {}])
def test_tiles_of_a_grid_without_enough_foreground_are_counted_as_left_out(
    mine: Checked, masks: dict[str, Any] | None
) -> None:
    # Of nine tiles an image, two squares of 12 px cover about a tenth of two.
    source = write_wells(mine, fields=1) | ({} if masks is None else {"masks": masks})
    printed = mine.check(source, tiles={"mode": "grid", "size": 32, "min_foreground": 0.05})
    assert ", 16 tiles (" in printed
    assert "left out: 56 x tile with less foreground than min_foreground" in printed
