"""A finished model on new images: the same vectors as the study's own, or a sentence."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
import yaml
from numpy.typing import NDArray
from scipy import ndimage
from tests.helpers.steps import run_convert, run_index, run_objects, run_sheet
from tests.helpers.training import task_of

from phenoloom.artifacts.layout import CARD
from phenoloom.artifacts.parquet import table_facts
from phenoloom.artifacts.provenance import Provenance
from phenoloom.cli.main import main
from phenoloom.config.model import ImageModel, ShapeModel
from phenoloom.config.rule_settings import PretrainSettings
from phenoloom.config.rules import RuleSettings
from phenoloom.config.run import Config
from phenoloom.config.study import Study
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.study_input import StudyInput
from phenoloom.embedding import apply
from phenoloom.embedding.apply import apply_model
from phenoloom.embedding.embed import embed
from phenoloom.embedding.new_images import NewImages, Steps, steps_for
from phenoloom.embedding.representation import Encoder, Representation
from phenoloom.models.checkpoint import read_card
from phenoloom.shapes.contours import ContourPolicy, extract_contours
from phenoloom.shapes.sources import outline_source
from phenoloom.splits.design import SplitDesign
from phenoloom.splits.folds import make_folds
from phenoloom.study.shards import shard_rows
from phenoloom.training.pretrain import pretrain

TRAINING = {"epochs": 1, "batch_size": 8, "warmup_epochs": 0, "threads": 1, "precision": "float32"}
TILES = ImageModel(
    view="tiles", width=4, input_size=32, latent=8, objective={"name": "ae"}, training={**TRAINING}
)  # fmt: skip
SHAPES = ShapeModel(view="shapes", width=4, latent=8, objective={"name": "ae"}, training={**TRAINING})
ALL_TOGETHER = "{plate:P.}/{well}_{field}.tif"
BY_CHANNEL = "{plate:P.}/{well}_{field}_{channel}.tif"


def photograph(generator: np.random.Generator) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Two channels of 96 x 96 px with four bright ellipses, and the label image of these."""
    y, x = np.mgrid[:96, :96]
    labels = np.zeros((96, 96), np.uint8)
    for label, (cy, cx) in enumerate([(24, 24), (24, 70), (70, 24), (70, 70)], start=1):
        a, b = generator.uniform(6, 11, 2)
        labels[((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1] = label
    cells = ndimage.gaussian_filter((labels > 0).astype(float), 1)
    planes = np.stack([200 + 3000 * cells, 500 + 900 * ndimage.gaussian_filter(cells, 3)])
    return (planes + generator.normal(0, 20, planes.shape)).astype(np.uint16), labels


def write_images(root: Path, *, by_channel: bool, wells: int = 4, broken: int = 0) -> None:
    """Two plates of wells with two fields each, as one file a channel or a file with two pages; masks beside them."""
    for number in range(2 * wells * 2):
        plate, well, site = f"P{number % 2}", f"A{number // 4 + 1}", number // 2 % 2
        image, labels = photograph(np.random.default_rng(number))
        for folder in (root / plate, root / "masks"):
            folder.mkdir(parents=True, exist_ok=True)
        name = f"{well}_{site}"
        tifffile.imwrite(root / "masks" / f"{plate}_{name}.tif", labels)
        if number < broken:
            (root / plate / f"{name}.tif").write_bytes(b"II*\0 cut short")
        elif by_channel:
            for channel, plane in zip(("dna", "act"), image, strict=True):
                tifffile.imwrite(root / plate / f"{name}_{channel}.tif", plane)
        else:
            tifffile.imwrite(root / plate / f"{name}.tif", image, photometric="minisblack")


@dataclass(frozen=True)
class Finished:
    """A study from raw files to the vectors of one model."""

    folder: Path
    raw: Path
    model: Path
    vectors: pd.DataFrame


def finish(folder: Path, raw: Path, study: Study, model: ImageModel | ShapeModel) -> Finished:
    """Run the steps of a study by hand, as the workflow does."""
    settings = RuleSettings("mine", study, Config(data_root=str(raw.parent)), Path("config"))
    sheet, index, folds = (folder / f"{name}.parquet" for name in ("sheet", "index", "folds"))
    run_sheet(settings.sheet(), sheet)
    objects = folder / "objects.json" if study.source.points else None
    if objects:
        run_objects(settings.objects(), sheet, objects)
    shards = [f"{number:04d}" for number in range(study.shards)]
    tiles, shapes = ([folder / view / f"{shard}.json" for shard in shards] for view in ("tiles", "shapes"))
    for shard, tile, shape in zip(shards, tiles, shapes, strict=True):
        if study.tiles:
            run_convert(settings.convert(), sheet, tile, 1, objects)
        if study.shapes:
            c = settings.contours()
            source = outline_source(c.source, tile if study.tiles else None, c.root, c.masks, c.outlines)
            policy = ContourPolicy.of(c)
            extract_contours(source, shard_rows(sheet, shard), policy, shape, 1, Provenance.of(c))
    rows = tiles if study.tiles else shapes
    run_index(settings.index(), sheet, rows, index, objects)
    split = settings.folds()
    design = SplitDesign(split.unit, split.folds, split.seed)
    make_folds(design, index, folds, folds.with_suffix(".json"), Provenance.of(split))
    stores = tiles if model.view == "tiles" else shapes
    trained = folder / "models" / "m" / "fold-0"
    wanted = PretrainSettings(study="mine", algorithm=1, model_name="m", model=model, split="fold-0", seed=0)
    study = StudyInput("mine", index, folds, tuple(stores))
    pretrain(task_of(wanted), [study], trained)
    encoder = Representation("m", Encoder(trained, "fold-0"))
    embed(encoder, study, folder / "m.parquet", Provenance.of(wanted), 1)
    return Finished(folder, raw, trained, pd.read_parquet(folder / "m.parquet"))


def study_of(raw: Path, **values: Any) -> Study:
    source = {"root": raw.name, "columns": {"label": "plate"}, **values.pop("source")}
    return Study(
        title="t", licence="MIT", shards=2, source=source, folds={"count": 2, "group": "well"},
        representations={"m": {"model": "m"}}, **values,
    )  # fmt: skip


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Tiles around objects that a threshold on the second channel finds."""
    folder = tmp_path_factory.mktemp("objects")
    write_images(folder / "raw", by_channel=True)
    source = {"files": BY_CHANNEL, "channels": {"DNA": "dna", "actin": "act"}, "pixel_size_um": 0.5,
              "masks": {"channel": "actin", "min_area_px": 30}}  # fmt: skip
    study = study_of(folder / "raw", source=source, tiles={"mode": "objects", "size": 40, "border": "keep"})
    return finish(folder, folder / "raw", study, TILES)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Tiles on a grid of images with two pages, without masks; some tiles are too empty."""
    folder = tmp_path_factory.mktemp("grid")
    write_images(folder / "raw", by_channel=False)
    source = {"files": ALL_TOGETHER, "channels": ["DNA", "actin"]}
    study = study_of(folder / "raw", source=source, tiles={"size": 32, "min_foreground": 0.2})
    return finish(folder, folder / "raw", study, TILES)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Contours of objects in the masks of tiles, which come from mask files."""
    folder = tmp_path_factory.mktemp("shapes")
    write_images(folder / "raw", by_channel=False)
    source = {
        "files": ALL_TOGETHER,
        "channels": ["DNA", "actin"],
        "masks": {"files": "masks/{plate}_{well}_{field}.tif"},
    }
    study = study_of(folder / "raw", source=source, tiles={"mode": "objects", "size": 40}, shapes={"points": 32})
    return finish(folder, folder / "raw", study, SHAPES)


def same(finished: Finished, table: pd.DataFrame, prefix: str = "m_") -> None:
    ours, theirs = (frame.set_index("Metadata_id").sort_index() for frame in (finished.vectors, table))
    assert ours.index.equals(theirs.index)
    assert len(ours) > 10
    np.testing.assert_allclose(theirs.filter(like=prefix), ours.filter(like="m_"), rtol=1e-6, atol=1e-6)
    for name in ("plate", "well", "field", "image", "object"):
        assert ours[f"Metadata_{name}"].tolist() == theirs[f"Metadata_{name}"].tolist()


def test_a_studys_own_files_get_the_vectors_that_the_study_has(objects: Finished, tmp_path: Path) -> None:
    new = NewImages(objects.raw, BY_CHANNEL, ("actin=act", "DNA=dna"))
    applied = apply_model(objects.model, new, tmp_path / "new.parquet")
    table = pd.read_parquet(tmp_path / "new.parquet")
    same(objects, table)
    assert (applied.images, applied.used, applied.quarantined, applied.vectors) == (16, 16, 0, len(table))
    assert set(table["Metadata_role"]) == {"new"}
    assert table["Metadata_group"].isna().all()
    assert table["Metadata_label"].isna().all()
    assert table.columns.tolist() == objects.vectors.columns.tolist()
    facts = table_facts(pq.read_schema(tmp_path / "new.parquet"))
    assert facts["model"]["split"] == "fold-0"
    assert (facts["images"], facts["seen_test_groups"]) == (16, False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.parquet", "new.quarantine.tsv"]


def test_a_grid_of_pages_gets_the_same_tiles_and_vectors(grid: Finished, tmp_path: Path) -> None:
    apply_model(grid.model, NewImages(grid.raw, ALL_TOGETHER), tmp_path / "new.parquet", name="fresh")
    same(grid, pd.read_parquet(tmp_path / "new.parquet"), prefix="fresh_")


def test_windows_around_points_are_made_around_new_points(tmp_path: Path) -> None:
    write_images(tmp_path / "raw", by_channel=False)
    names = [path.relative_to(tmp_path / "raw") for path in sorted((tmp_path / "raw").glob("P*/*.tif"))]
    rows = [f"{name},{20 + 13 * i},{30 + 11 * i}" for name in names for i in range(3)]
    (tmp_path / "raw" / "points.csv").write_text("\n".join(["image,x,y", *rows]))
    points = {"path": "points.csv", "join": {"image": "image"}, "x": "x", "y": "y"}
    source = {"files": ALL_TOGETHER, "channels": ["DNA", "actin"], "points": points}
    study = study_of(tmp_path / "raw", source=source, tiles={"mode": "objects", "size": 40, "border": "keep"})
    around = finish(tmp_path, tmp_path / "raw", study, TILES)
    apply_model(around.model, NewImages(around.raw, ALL_TOGETHER, points="points.csv"), tmp_path / "new.parquet")
    same(around, pd.read_parquet(tmp_path / "new.parquet"))


def test_pages_in_another_order_and_surplus_ones_are_taken_by_name(grid: Finished, tmp_path: Path) -> None:
    for file in grid.raw.glob("P*/*.tif"):
        image = tifffile.imread(file)
        target = tmp_path / "raw" / file.relative_to(grid.raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        pages = np.stack([image[1], np.full_like(image[0], 7), image[0]])
        tifffile.imwrite(target, pages, photometric="minisblack")
    new = NewImages(tmp_path / "raw", ALL_TOGETHER, ("actin", "other", "DNA"))
    apply_model(grid.model, new, tmp_path / "new.parquet")
    same(grid, pd.read_parquet(tmp_path / "new.parquet"))


def test_contours_in_mask_files_of_tiles_get_the_same_vectors_and_sizes(shapes: Finished, tmp_path: Path) -> None:
    new = NewImages(shapes.raw, ALL_TOGETHER, masks="masks/{plate}_{well}_{field}.tif")
    apply_model(shapes.model, new, tmp_path / "new.parquet")
    table = pd.read_parquet(tmp_path / "new.parquet")
    same(shapes, table)
    ours, theirs = (frame.set_index("Metadata_id")["Metadata_scale"].sort_index() for frame in (shapes.vectors, table))
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


def test_masks_alone_are_enough_for_a_model_of_contours(shapes: Finished, tmp_path: Path) -> None:
    new = NewImages(shapes.raw, masks="masks/{plate}_{well}_{field}.tif")
    apply_model(shapes.model, new, tmp_path / "new.parquet")
    same(shapes, pd.read_parquet(tmp_path / "new.parquet"))


def test_outlines_are_enough_for_a_model_of_contours(shapes: Finished, tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    circle = "\n".join(f"{30 + 9 * np.cos(a)} {20 + 9 * np.sin(a)}" for a in angle)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "outlines.txt").write_text(f"{circle}\n\n{circle}\n")
    apply_model(shapes.model, NewImages(tmp_path / "in", outlines="outlines.txt"), tmp_path / "new.parquet")
    table = pd.read_parquet(tmp_path / "new.parquet")
    assert np.exp(table["Metadata_scale"]).tolist() == pytest.approx([9, 9], rel=1e-2)
    first, second = table.filter(like="m_").to_numpy()
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("policy", ["max", "all"])
def test_focal_planes_become_what_they_became_in_the_study(policy: str, tmp_path: Path) -> None:
    write_images(tmp_path / "raw", by_channel=False, wells=3)
    for file in (tmp_path / "raw").glob("P*/*.tif"):
        image = tifffile.imread(file)
        tifffile.imwrite(file, np.stack([image // 2, image, image // 3]), imagej=True, metadata={"axes": "ZCYX"})
    source = {"files": ALL_TOGETHER, "channels": ["DNA", "actin"], "planes": {"z": policy}}
    finished = finish(tmp_path, tmp_path / "raw", study_of(tmp_path / "raw", source=source, tiles={"size": 32}), TILES)
    apply_model(finished.model, NewImages(finished.raw, ALL_TOGETHER), tmp_path / "new.parquet")
    table = pd.read_parquet(tmp_path / "new.parquet")
    same(finished, table)
    assert table["Metadata_image"].nunique() == {"max": 12, "all": 36}[policy]


def test_broken_images_are_counted_and_listed_with_their_reason(
    grid: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "raw", by_channel=False, broken=2)
    arguments = ["apply", "--model", str(grid.model), "--images", str(tmp_path / "raw"), "--files", ALL_TOGETHER]
    arguments += ["--output", str(tmp_path / "new.parquet")]
    assert main(arguments) == 1
    assert "2 of 16 images cannot be used" in capsys.readouterr().err
    assert main([*arguments, "--max-rejected-fraction", "0.2"]) == 0
    assert "2 images cannot be used, for the reasons in" in capsys.readouterr().err
    lost = pd.read_csv(tmp_path / "new.quarantine.tsv", sep="\t", dtype=str)
    assert lost["image_id"].tolist() == ["P0/A1/0", "P1/A1/0"]
    assert lost["stage"].tolist() == ["convert"] * 2
    table = pd.read_parquet(tmp_path / "new.parquet")
    kept = grid.vectors[~grid.vectors["Metadata_image"].isin(lost["image_id"])]
    same(replace(grid, vectors=kept), table)


def test_images_directly_in_the_folder_need_no_pattern(grid: Finished, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for file in (grid.raw / "P0").glob("*.tif"):
        shutil.copy(file, tmp_path / "in" / file.with_suffix(".TIFF").name)
    apply_model(grid.model, NewImages(tmp_path / "in"), tmp_path / "new.parquet")
    table = pd.read_parquet(tmp_path / "new.parquet")
    names = {f"P0/{name.replace('_', '/')}": name for name in table["Metadata_image"]}
    ours = grid.vectors[grid.vectors["Metadata_image"].isin(names)].filter(like="m_")
    np.testing.assert_allclose(table.filter(like="m_"), ours, atol=1e-6)


def test_windows_keep_their_size_in_micrometres(objects: Finished, tmp_path: Path) -> None:
    made = read_card(objects.model).preparation
    assert made is not None
    coarse = steps_for(made, NewImages(tmp_path, BY_CHANNEL, pixel_size_um=1.0), "new").convert
    assert coarse is not None
    assert coarse.masks is not None
    assert (coarse.tiles.size, coarse.pixel_size_um) == (20, 1.0)
    assert (coarse.masks.smoothing_px, coarse.masks.split_distance_px, coarse.masks.min_area_px) == (1.0, 4.0, 8)
    for file in objects.raw.glob("P*/*.tif"):
        doubled = tifffile.imread(file).repeat(2, 0).repeat(2, 1)
        target = tmp_path / "raw" / file.relative_to(objects.raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(target, doubled)
    ours, far = objects.vectors.set_index("Metadata_id").filter(like="m_"), {}
    for pixel_size_um in (0.25, None):
        new = NewImages(tmp_path / "raw", BY_CHANNEL, ("DNA=dna", "actin=act"), pixel_size_um=pixel_size_um)
        apply_model(objects.model, new, tmp_path / "new.parquet")
        table = pd.read_parquet(tmp_path / "new.parquet").set_index("Metadata_id").filter(like="m_")
        both = ours.index.intersection(table.index)
        assert pixel_size_um is None or len(both) == len(ours)
        far[pixel_size_um] = np.linalg.norm(ours.loc[both].to_numpy() - table.loc[both].to_numpy(), axis=1)
    # Segmentation moves a window by a pixel at most; a window of half the cell is another picture.
    assert np.median(far[0.25]) < 0.25 * np.median(far[None])


def test_an_encoder_of_other_studies_sees_new_images_as_the_whole_study(grid: Finished, tmp_path: Path) -> None:
    new, outputs = NewImages(grid.raw, ALL_TOGETHER), []
    for name, of_folds in (("own", None), ("others", {"fold-0": {"mean": [0.0, 0.0], "std": [1.0, 1.0]}})):
        shutil.copytree(grid.model, tmp_path / name)
        card = yaml.safe_load((tmp_path / name / CARD).read_text())
        card |= {"split": "all", "fold_statistics": of_folds}
        (tmp_path / name / CARD).write_text(yaml.safe_dump(card))
        apply_model(tmp_path / name, new, tmp_path / f"{name}.parquet", name="m")
        outputs.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    pd.testing.assert_frame_equal(*outputs)


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("objects", {"files": BY_CHANNEL, "channels": ("DNA=dna",)}, "lacks actin"),
        ("objects", {"files": BY_CHANNEL}, "fits the pattern"),
        ("objects", {"files": "{image}.png"}, "fits the pattern"),
        ("grid", {"files": ALL_TOGETHER, "channels": ("DNA=0", "actin=1")}, "no such field"),
        ("grid", {"files": ALL_TOGETHER, "channels": ("DNA", "DNA")}, "names 'DNA' twice"),
        ("grid", {"files": ALL_TOGETHER, "channels": ("DNA", "actin", "RNA")}, "expected 3 channels, found 2 pages"),
        ("grid", {"files": ALL_TOGETHER, "masks": "masks/{plate}_{well}_{field}.tif"}, "leave out `--masks`"),
        ("grid", {"files": ALL_TOGETHER, "pixel_size_um": 0.5}, "does not know the pixel size"),
        ("grid", {"outlines": "x.txt"}, "looks at pixels"),
        ("grid", {"files": ALL_TOGETHER, "columns": {"label": "well"}}, "but not label"),
        ("shapes", {"files": ALL_TOGETHER}, "was given without masks"),
        ("shapes", {}, "was given without masks"),
        ("shapes", {"masks": "masks/{image}.tif", "channels": ("DNA",)}, "have no channels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(
    kind: str, changes: dict[str, Any], sentence: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    finished: Finished = request.getfixturevalue(kind)
    with pytest.raises(PhenoloomError, match=sentence):
        apply_model(finished.model, NewImages(finished.raw, **changes), tmp_path / "out" / "new.parquet")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_pixels_of_another_type_are_refused(grid: Finished, tmp_path: Path) -> None:
    target = tmp_path / "raw" / "P0" / "A1_0.tif"
    target.parent.mkdir(parents=True)
    tifffile.imwrite(target, (tifffile.imread(grid.raw / "P0" / "A1_0.tif") // 256).astype(np.uint8))
    with pytest.raises(PhenoloomError, match="expected pixels of type uint16 like those that the model was trained on"):
        apply_model(grid.model, NewImages(tmp_path / "raw", ALL_TOGETHER), tmp_path / "new.parquet")


def test_a_model_of_mask_files_alone_refuses_images(tmp_path: Path) -> None:
    write_images(tmp_path / "raw", by_channel=False, wells=2)
    source = {"files": "masks/{plate}_{well}_{field}.tif", "masks": {"files": "masks/{plate}_{well}_{field}.tif"}}
    finished = finish(
        tmp_path, tmp_path / "raw", study_of(tmp_path / "raw", source=source, shapes={"points": 32}), SHAPES
    )
    with pytest.raises(PhenoloomError, match="looks at contours alone"):
        apply_model(finished.model, NewImages(finished.raw, ALL_TOGETHER), tmp_path / "new.parquet")
    with pytest.raises(PhenoloomError, match="give `--masks PATTERN`"):
        apply_model(finished.model, NewImages(finished.raw), tmp_path / "new.parquet")
    apply_model(finished.model, NewImages(finished.raw, masks=source["files"]), tmp_path / "new.parquet")
    same(finished, pd.read_parquet(tmp_path / "new.parquet"))


def test_the_same_bytes_twice_and_after_a_run_that_was_killed(
    grid: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    make = apply._make  # the steps, and the folder that they are given

    def watched(steps: Steps, folder: Path, *more: Any) -> Any:
        folders.append(folder)
        return make(steps, folder, *more)

    monkeypatch.setattr(apply, "_make", watched)
    written: list[bytes] = []
    for threads in (1, 3):
        apply_model(grid.model, NewImages(grid.raw, ALL_TOGETHER), tmp_path / "new.parquet", threads=threads)
        written.append((tmp_path / "new.parquet").read_bytes())
        # What the next run would find after a kill.
        (folders[0] / "tiles").mkdir(parents=True)
        (folders[0] / "tiles" / "0000.parquet").write_bytes(b"half")
    assert written[0] == written[1]
    assert folders[0] == folders[1]


def test_runs_that_share_a_scratch_disk_leave_each_other_alone(
    grid: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, names = tmp_path / "scratch", [tmp_path / folder / "vectors.parquet" for folder in ("a", "b")]
    scratch.mkdir()
    make = apply._make

    def with_another_run_meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(apply, "_make", make)
        made = make(*arguments)
        apply_model(grid.model, NewImages(grid.raw, ALL_TOGETHER), names[1], scratch=scratch)
        return made

    monkeypatch.setattr(apply, "_make", with_another_run_meanwhile)
    apply_model(grid.model, NewImages(grid.raw, ALL_TOGETHER), names[0], scratch=scratch)
    assert names[0].read_bytes() == names[1].read_bytes()
    assert list(scratch.iterdir()) == []


def test_a_run_that_fails_leaves_the_vectors_of_the_last_one(grid: Finished, tmp_path: Path) -> None:
    output = tmp_path / "new.parquet"
    output.write_bytes(b"the last ones")
    (tmp_path / "none").mkdir()
    with pytest.raises(PhenoloomError):
        apply_model(grid.model, NewImages(tmp_path / "none", ALL_TOGETHER), output)
    assert output.read_bytes() == b"the last ones"
