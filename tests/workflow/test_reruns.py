"""What runs again, and what does not: nothing without a change, and after a change exactly what depends on it."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.helpers.workspace import STUDY, TINY, Workspace, settings_of

from phenoloom.config import ImageModel, RuleSettings, ShapeModel, Study
from phenoloom.config.messages import sections_in
from phenoloom.config.run import Config

REPORT = {"report", "overview"}
SCORE = {"classify", "compare"} | REPORT
PROBES = {"audit"} | SCORE
VECTORS = {"embed", "collect"} | SCORE
TRAIN = {"pretrain"} | VECTORS
FOLDS = {"folds", "audit"} | TRAIN
SHAPES = {"contours", "distances", "describe"}
CONVERT = {"convert", "index"} | SHAPES | FOLDS
SHEET = {"sheet"} | CONVERT
EVERYTHING = {"simulate"} | SHEET
# A shape key leaves everything of the view `tiles` alone, the index and the folds included.
SHAPES_ONLY = SHAPES | TRAIN

IMAGE_MODEL, SHAPE_MODEL = "models.vqvae-resnet18", "models.shape-ae"

PLACEMENT: dict[str, Any] = {
    "nodes": 2,
    "devices": 3,
    "accelerator": "cpu",
    "compile": True,
    "gradient_checkpointing": True,
    "collapse.epochs": 3,
    "collapse.least_rank": 1.01,
    "collapse.least_spread": 0.00001,
    "collapse.least_information": 0.00001,
}
# Of models that are trained on one study.
UNUSED: dict[str, Any] = {"balance.size_exponent": 0.5, "balance.weights": {"a": 2.0}, "balance.epoch_items": 100}
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "title": ("Another title", REPORT),
    "licence": ("CC-BY-4.0", REPORT),
    "reference": ("A paper", REPORT),
    "seed": (1, EVERYTHING),
    "shards": (1, SHEET),
    "max_rejected_fraction": (0.3, SHEET),
    "source.root": ("elsewhere", set()),  # simulated raw data lies in the results
    "source.simulate.plates": (3, EVERYTHING),
    "source.simulate.wells": (9, EVERYTHING),
    "source.simulate.fields": (2, EVERYTHING),
    "source.simulate.cells": (7, EVERYTHING),
    "source.simulate.image_size": (256, EVERYTHING),
    "source.simulate.broken_files": (2, EVERYTHING),
    "source.files": ("{plate}/{well}_s{field:\\d+}_{channel}.tif", SHEET),
    "source.listing": ("listing.txt", SHEET),
    "source.table.path": ("other.csv", SHEET),
    "source.table.header": (["Plate", "Well", "Phenotype"], SHEET),
    "source.table.join": ({"plate": "Plate"}, SHEET),
    "source.table.zero_pad": ({"Well": 3}, SHEET),
    "source.columns": ({"label": "Compound"}, SHEET),
    "source.channels": ({"DNA": "dna", "cell body": "body"}, SHEET),
    "source.masks.files": ("{plate}/{well}_s{field}_mask.tif", SHEET),
    # These need mask files, which the sheet lists.
    "source.masks.plane": (1, SHEET),
    "source.masks.image": (0, SHEET),
    "source.masks.level": (0, SHEET),
    "source.masks.objects": ("components", CONVERT),
    # Without effect where images are segmented: see below.
    "source.masks.values": ([1], set()),
    "source.masks.invert_when_border_is_foreground": (True, set()),
    "source.masks.channel": ("DNA", CONVERT),
    "source.masks.smoothing_px": (1.0, CONVERT),
    "source.masks.split_distance_px": (9.0, CONVERT),
    "source.masks.min_area_px": (61, CONVERT),
    "source.polarity": ("dark", CONVERT),
    "source.label_separator": (";", SHEET),
    "source.ignore_channels": (["bf"], SHEET),
    "source.ignore_files": (["{_}.png"], SHEET),
    "source.classes": ({"control": "untreated"}, SHEET),
    "source.image": ("overview", SHEET),
    "source.level": (1, SHEET),
    "source.pixel_size_um": (0.5, CONVERT),
    "source.planes.z": ("max", SHEET),
    "source.planes.t": ("first", SHEET),
    "source.planes.axes": ("C", SHEET),
    "tiles.mode": ("grid", {"convert", "index"} | FOLDS),
    "tiles.size": (72, CONVERT),
    "tiles.stride": (32, CONVERT),
    "tiles.min_foreground": (0.01, set()),  # of grids: see below
    "tiles.border": ("keep", CONVERT),
    "tiles.tiles_per_shard_file": (16, CONVERT),
    "tiles.compression": ("zstd", CONVERT),
    "shapes.points": (64, SHAPES_ONLY),
    "shapes.border": ("keep", SHAPES_ONLY),
    "shapes.min_points": (9, SHAPES_ONLY),
    "shapes.store_distances": (False, REPORT),
    "folds.scheme": ("leave-one-group-out", FOLDS),
    "folds.count": (3, FOLDS),
    "folds.group": ("image", FOLDS),
    f"{IMAGE_MODEL}.encoder": ("resnet34", TRAIN),
    f"{IMAGE_MODEL}.view": (None, set()),  # says which kind of model it is
    f"{SHAPE_MODEL}.encoder": (None, set()),
    f"{SHAPE_MODEL}.view": (None, set()),
    f"{IMAGE_MODEL}.variants": (None, set()),  # other models: see below
    f"{SHAPE_MODEL}.variants": (None, set()),
    f"{IMAGE_MODEL}.objective.name": (None, set()),
    f"{SHAPE_MODEL}.objective.name": (None, set()),
    f"{SHAPE_MODEL}.training.foreground_exponent": (None, set()),  # contours have none
    f"{IMAGE_MODEL}.width": (8, TRAIN),
    f"{IMAGE_MODEL}.input_size": (64, TRAIN),
    f"{IMAGE_MODEL}.latent": (32, TRAIN),
    f"{IMAGE_MODEL}.objective.codes": (8, TRAIN),
    f"{IMAGE_MODEL}.objective.code_dim": (8, TRAIN),
    f"{IMAGE_MODEL}.objective.commitment": (0.5, TRAIN),
    f"{IMAGE_MODEL}.objective.decay": (0.9, TRAIN),
    f"{IMAGE_MODEL}.objective.revive_after": (7, TRAIN),
    f"{IMAGE_MODEL}.augment.flip": (False, TRAIN),
    f"{IMAGE_MODEL}.augment.gain": (0.11, TRAIN),
    f"{IMAGE_MODEL}.augment.offset": (0.11, TRAIN),
    f"{IMAGE_MODEL}.augment.noise": (0.11, TRAIN),
    f"{SHAPE_MODEL}.width": (8, TRAIN),
    f"{SHAPE_MODEL}.latent": (4, TRAIN),
    f"{SHAPE_MODEL}.reflection": (False, TRAIN),
    f"{SHAPE_MODEL}.augment.stretch": (0.11, TRAIN),
    f"{SHAPE_MODEL}.augment.elastic": (0.11, TRAIN),
    f"{SHAPE_MODEL}.augment.ripple": (0.11, TRAIN),
    f"{SHAPE_MODEL}.augment.cut": (0.11, TRAIN),
    f"{SHAPE_MODEL}.augment.cut_probability": (0.11, TRAIN),
    f"{SHAPE_MODEL}.augment.noise": (0.11, TRAIN),
    f"{SHAPE_MODEL}.objective.noise": (0.011, TRAIN),
    f"{SHAPE_MODEL}.objective.error": ("absolute", TRAIN),
    f"{SHAPE_MODEL}.objective.decoder": ("matrix", TRAIN),
    **{
        f"{model}.training.{key}": (value, TRAIN)
        for model in (IMAGE_MODEL, SHAPE_MODEL)
        for key, value in {
            "epochs": 2,
            "seed": 7,
            "batch_size": 16,
            "learning_rate": 0.0123,
            "weight_decay": 0.0123,
            "warmup_epochs": 1,
            "gradient_clip": 3.21,
            "validation_fraction": 0.321,
            "patience": 3,
            "precision": "bf16",
            "threads": 2,
            "base_batch_size": 64,
            "learning_rate_scaling": "linear",
            "accumulate": 2,
            "optimizer": "lamb",
            "betas": (0.9, 0.95),
            "momentum": 0.8,
            "final_learning_rate": 0.000123,
            "final_weight_decay": 0.123,
            "ema": 0.9,
            **({"foreground_exponent": 1.0} if model == IMAGE_MODEL else {}),
        }.items()
    },
    **{
        f"{model}.training.{key}": (value, set())  # where and how a model trains is no reason to train it again
        for model in (IMAGE_MODEL, SHAPE_MODEL)
        for key, value in (PLACEMENT | UNUSED).items()
    },
    "representations.regionprops.descriptors": ("fourier", {"describe"} | VECTORS),
    "representations.vqvae.model": ("shape-ae", VECTORS),
    "representations.shape-and-props.concatenate": (["regionprops", "shape-ae"], VECTORS),
    "representations.vqvae.untrained": (True, VECTORS),
    "representations.vqvae.transductive": (True, TRAIN),
    "classify.unit": ("well", FOLDS),
    "classify.probes": (["dummy", "knn"], PROBES),
    "classify.shuffled_labels": (False, PROBES),
    "classify.forest_trees": (11, PROBES),
    "classify.neighbours": (3, PROBES),
    "transfer": ([], set()),  # needs another study: see `test_transfer`
    "report.sample_tiles": (3, REPORT),
    "report.map_points": (201, {"collect"} | REPORT),
}
NOT_SIMULATED = {"outlines", "objects", "points"}  # a simulated study has images, labelled well by well


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a section that holds a value, with dots."""
    for name, field in model.model_fields.items():
        inner = list(sections_in(field.annotation))
        if name in {"representations", "models"} or not inner:
            yield f"{prefix}{name}"
        # `test_tune` checks what a search depends on.
        elif name not in NOT_SIMULATED and name != "tune":
            for section in inner:
                yield from leaves(section, f"{prefix}{name}.")


def with_change(key: str, value: Any) -> dict[str, Any]:
    study: dict[str, Any] = copy.deepcopy(TINY)
    section = study
    *parents, last = key.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    # Keys that must agree change together.
    if key in {"source.masks.plane", "source.masks.image", "source.masks.level"}:
        section["files"] = "{plate}/{well}_s{field}_mask.tif"
    if key == "tiles.mode":
        for name in ("regionprops", "shape-ae", "shape-and-props"):
            del study["representations"][name]
        del study["shapes"], study["models"]["shape-ae"]
    if "files" in study["source"]["masks"]:
        del study["source"]["masks"]["channel"], study["source"]["masks"]["split_distance_px"]
    if key == "source.masks.objects":
        del section["split_distance_px"]
    if key == "representations.vqvae.model":
        del study["representations"]["vqvae-untrained"]
        del study["models"]["vqvae-resnet18"]
    return study


# Keys that the tiny study's models do not use: (model file, key, value, what else the key needs).
OTHER_MODELS: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("ae-resnet18", "objective.pool", 3, {}),
    ("vae-resnet18", "objective.beta", 4.0, {}),
    ("mae-vit-small", "depth", 3, {}),
    ("mae-vit-small", "patch", 4, {}),
    ("mae-vit-small", "registers", 2, {}),
    ("mae-vit-small", "drop_path", 0.123, {}),
    ("mae-vit-small", "objective.mask_ratio", 0.55, {}),
    ("mae-vit-small", "objective.normalise_patches", False, {}),
    ("mae-vit-small", "objective.decoder_width", 96, {}),
    ("mae-vit-small", "objective.decoder_depth", 3, {}),
    ("dino-vit-small", "objective.prototypes", 77, {}),
    ("dino-vit-small", "objective.hidden", 77, {}),
    ("dino-vit-small", "objective.bottleneck", 77, {}),
    ("dino-vit-small", "objective.head_batch_norm", True, {}),
    ("dino-vit-small", "objective.local_crops", 3, {}),
    ("dino-vit-small", "objective.local_size", 64, {}),
    ("dino-vit-small", "objective.global_scale", (0.3, 0.9), {}),
    ("dino-vit-small", "objective.local_scale", (0.1, 0.2), {}),
    ("dino-vit-small", "objective.student_temperature", 0.123, {}),
    ("dino-vit-small", "objective.teacher_temperature", 0.123, {}),
    ("dino-vit-small", "objective.first_teacher_temperature", 0.0123, {}),
    ("dino-vit-small", "objective.temperature_epochs", 7, {}),
    ("dino-vit-small", "objective.momentum", 0.987, {}),
    ("dino-vit-small", "objective.centre_momentum", 0.876, {}),
    ("dino-vit-small", "objective.frozen_epochs", 3, {}),
    ("dino-vit-small", "objective.ibot", 0.123, {}),
    ("dino-vit-small", "objective.koleo", 0.123, {}),
    ("ae-resnet18", "contrast.pairs", "wells", {"contrast": {"pairs": "views"}}),
    ("ae-resnet18", "contrast.weight", 0.123, {"contrast": {"pairs": "views"}}),
    ("ae-resnet18", "contrast.temperature", 0.123, {"contrast": {"pairs": "views"}}),
    ("ae-resnet18", "contrast.projection", 77, {"contrast": {"pairs": "views"}}),
    ("ae-resnet18", "contrast.head_batch_norm", False, {"contrast": {"pairs": "views"}}),
    ("ae-resnet18", "channels.mode", "separate", {}),
    ("ae-resnet18", "channels.names", ["protein", "DNA", "cell body"], {}),
    ("ae-resnet18", "channels.aliases", {"DNA": "nucleus"}, {"channels": {"names": ["nucleus", "DNA"]}}),
    ("ae-resnet18", "channels.combine", "mean", {"channels": {"mode": "separate"}}),
    ("ae-resnet18", "channels.at_once", 2, {"channels": {"mode": "separate"}}),
    ("ae-resnet18", "channels.inputs", 4, {"channels": {"mode": "replicate"}}),
    ("ae-resnet18", "channels.map", {"DNA": 1}, {"channels": {"mode": "map", "map": {"DNA": 0}}}),
    ("ae-resnet18", "channels.drop", ["protein"], {"channels": {"mode": "map", "map": {"DNA": 0}}}),
    ("ae-resnet18", "channels.fill", "mean", {"channels": {"mode": "map", "map": {"DNA": 0}}}),
    ("ae-resnet18", "augment.rotate", True, {}),
    ("ae-resnet18", "augment.crop", 0.5, {}),
    ("ae-resnet18", "augment.elastic", 0.1, {}),
    ("ae-resnet18", "augment.crop_tries", 4, {}),
    ("ae-resnet18", "augment.blur", 1.5, {}),
    ("ae-resnet18", "augment.drop_channel", 0.25, {}),
    *(
        ("shape-ae", f"objective.penalties.{key}", 0.123, {"objective": {"decoder": "matrix"}})
        for key in ("diagonal", "symmetry", "negativity", "triangle")
    ),
    ("shape-vae", "objective.beta", 4.0, {}),
    ("shape-vqvae", "objective.codes", 77, {}),
    ("shape-vqvae", "objective.code_dim", 4, {}),
    ("shape-vqvae", "objective.commitment", 0.123, {}),
    ("shape-vqvae", "objective.decay", 0.876, {}),
    ("shape-vqvae", "objective.revive_after", 77, {}),
    ("shape-mae", "objective.mask_ratio", 0.55, {}),
    ("shape-mae", "objective.arc", 5, {}),
    ("shape-contrast", "objective.temperature", 0.123, {}),
    ("shape-contrast", "objective.projection", 77, {}),
]


@pytest.mark.parametrize(("model", "key", "value", "needs"), OTHER_MODELS, ids=[key for _, key, _, _ in OTHER_MODELS])
def test_a_changed_key_of_any_model_reaches_pretraining_and_no_other_rule(
    model: str, key: str, value: Any, needs: dict[str, Any]
) -> None:
    changed: dict[str, Any] = copy.deepcopy(needs)
    section = changed
    *parents, last = key.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    before, after = settings_of(model, needs), settings_of(model, changed)
    assert {rule for rule in before if before[rule] != after[rule]} == {"pretrain"}


# Keys without effect in the tiny study, with the keys that they need.
OTHER_STUDIES: dict[str, dict[str, Any]] = {
    **{
        f"source.masks.{key}": {"source": {"masks": {"files": "{plate}/{well}_s{field}_mask.tif", "objects": "one"}}}
        for key in ("values", "invert_when_border_is_foreground")
    },
    "tiles.min_foreground": {"tiles": {"mode": "grid", "size": 64}},
}


@pytest.mark.parametrize("key", OTHER_STUDIES)
def test_a_changed_key_of_mask_files_or_of_a_grid_reaches_conversion_and_not_the_sheet(key: str) -> None:
    def settings(study: dict[str, Any]) -> dict[str, str]:
        rules = RuleSettings(STUDY, Study.model_validate(study), Config(), Path("config"))
        return {rule: getattr(rules, rule)().canonical() for rule in ("sheet", "convert", "index", "folds")}

    value, _ = CHANGES[key]
    before = {name: value for name, value in TINY.items() if name not in {"shapes", "tiles"}}
    before["representations"] = {"intensity": {"descriptors": "intensity"}}
    before = {"tiles": TINY["tiles"], **before, **copy.deepcopy(OTHER_STUDIES[key])}
    before["source"] = {**TINY["source"], **before["source"]}
    after = copy.deepcopy(before)
    section = after
    *parents, last = key.split(".")
    for parent in parents:
        section = section[parent]
    section[last] = value
    first, second = settings(before), settings(after)
    assert {rule for rule in first if first[rule] != second[rule]} == {"convert"}


def test_every_key_of_a_study_and_of_its_models_is_changed_once() -> None:
    keys = {key for key in leaves(Study) if key not in {"representations", "models"}}
    keys |= {f"representations.{key}" for key in ("descriptors", "model", "concatenate", "untrained", "transductive")}
    keys |= {f"models.tiles.{key}" for key in leaves(ImageModel)} | {
        f"models.shapes.{key}" for key in leaves(ShapeModel)
    }
    changed = {
        key.replace(IMAGE_MODEL, "models.tiles")
        .replace(SHAPE_MODEL, "models.shapes")
        .replace("representations.regionprops.", "representations.")
        .replace("representations.vqvae.", "representations.")
        .replace("representations.shape-and-props.", "representations.")
        for key in CHANGES
    }
    views = {model: "shapes" if model.startswith("shape-") else "tiles" for model, _, _, _ in OTHER_MODELS}
    assert changed | {f"models.{views[model]}.{key}" for model, key, _, _ in OTHER_MODELS} == keys


def test_a_second_run_has_nothing_to_do(finished: Workspace) -> None:
    done = finished.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize("key", [key for key, (_, rules) in CHANGES.items() if rules])
def test_a_changed_key_runs_exactly_what_depends_on_it(finished: Workspace, tmp_path: Path, key: str) -> None:
    value, expected = CHANGES[key]
    workspace = finished.copy(tmp_path / "work")
    workspace.write_study(with_change(key, value))
    for path in ("listing.txt", "other.csv"):
        raw = finished.folder / "results" / STUDY / "raw" / path
        if value == path and not raw.exists():
            raw.write_bytes((raw.parent / "annotation.csv").read_bytes())
    planned = workspace.planned()
    assert {job for job in planned if ":" not in job} == expected
    trained = {job for job in planned if job.startswith("pretrain:") and "fold" not in job and "all" not in job}
    if key.startswith(IMAGE_MODEL):
        assert trained == {"pretrain:vqvae-resnet18"}
    if key.startswith((SHAPE_MODEL, "shapes.")):
        assert trained <= {"pretrain:shape-ae"}


@pytest.mark.parametrize("key", PLACEMENT)
def test_a_model_that_is_to_train_elsewhere_is_not_trained_again(finished: Workspace, tmp_path: Path, key: str) -> None:
    workspace = finished.copy(tmp_path / "work")
    workspace.write_study(with_change(f"{IMAGE_MODEL}.training.{key}", PLACEMENT[key]))
    assert workspace.planned() == set()


@pytest.mark.parametrize("setting", ["scratch=$TMPDIR", "container=phenoloom.sif", "gpu_environment=false"])
def test_where_jobs_run_is_no_reason_to_run_them_again(finished: Workspace, tmp_path: Path, setting: str) -> None:
    assert finished.copy(tmp_path / "work").planned("--config", setting) == set()


def test_a_clock_that_is_ahead_is_named_and_once_it_is_right_only_the_stopped_job_runs_again(
    finished: Workspace, tmp_path: Path
) -> None:
    workspace = finished.clone(tmp_path / "work")
    results = workspace.folder / "results" / STUDY
    before = (results / "scores.parquet").read_bytes()
    skewed = [*results.glob("sheet.*"), *results.glob("tiles/0000.*"), *results.glob("scores/*")]
    for path in skewed:
        os.utime(path, (time.time() + 3600,) * 2)
    assert workspace.planned() == set()
    (results / "scores.parquet").unlink()
    done = workspace.snakemake(check=False)
    assert done.returncode
    assert "clock skew" in done.stdout + done.stderr
    for path in skewed:
        path.touch()
    assert {job for job in workspace.planned() if ":" not in job} == {"compare"} | REPORT
    workspace.snakemake()
    assert workspace.planned() == set()
    assert (results / "scores.parquet").read_bytes() == before


def test_variants_are_models_of_their_own_and_one_that_is_added_trains_no_other_again(
    finished: Workspace, tmp_path: Path
) -> None:
    workspace = finished.clone(tmp_path / "work")

    def planned() -> set[str]:
        jobs = workspace.planned()
        assert not any("shape-ae" in job for job in jobs)
        assert {job for job in jobs if ":" not in job} == TRAIN
        return {job for job in jobs if job.startswith("pretrain:") and "fold" not in job}

    workspace.write_study(with_change(f"{IMAGE_MODEL}.variants", {"width": [4, 8]}))
    assert planned() == {"pretrain:vqvae-resnet18.width-4", "pretrain:vqvae-resnet18.width-8"}
    models = [f"results/{STUDY}/models/vqvae-resnet18.width-{width}" for width in (4, 8)]
    workspace.snakemake(*(f"{model}/fold-{fold}/model.yaml" for model in models for fold in range(2)))
    workspace.write_study(with_change(f"{IMAGE_MODEL}.variants", {"width": [4, 8, 16]}))
    assert planned() == {"pretrain:vqvae-resnet18.width-16"}


def test_touching_every_file_runs_nothing(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.clone(tmp_path / "work")
    for path in sorted((workspace.folder / "results" / STUDY).rglob("*")):
        path.touch()
    assert workspace.planned() == set()


DELETED = {
    "raw/simulate.json": EVERYTHING,
    "sheet.parquet": SHEET,
    "sheet.json": SHEET,
    "tiles/0000.json": CONVERT,
    "tiles/0000.parquet": CONVERT,
    "index.parquet": {"index"} | FOLDS,
    "index.json": {"index"} | FOLDS,
    "quarantine.tsv": {"index"} | FOLDS,
    "shapes/0001.json": SHAPES_ONLY,
    "shapes/0001.parquet": SHAPES_ONLY,
    "distances/0001.json": {"distances"} | REPORT,
    "descriptors/0000.parquet": {"describe"} | VECTORS,
    "folds.parquet": FOLDS,
    "folds.json": FOLDS,
    "models/shape-ae/fold-1/model.safetensors": TRAIN,
    "models/shape-ae/fold-1/model.yaml": TRAIN,
    "models/vqvae-resnet18/fold-0/metrics.csv": TRAIN,
    "embeddings/vqvae/fold-1.parquet": VECTORS,
    "scores/vqvae.parquet": SCORE,
    "audit.parquet": {"audit", "compare"} | REPORT,
    "scores.parquet": {"compare"} | REPORT,
    "comparisons.parquet": {"compare"} | REPORT,
    "embeddings.h5ad": {"collect"} | REPORT,
    "report/index.html": REPORT,
}


@pytest.mark.parametrize("name", DELETED)
def test_a_deleted_output_is_made_again_with_its_descendants_only(
    finished: Workspace, tmp_path: Path, name: str
) -> None:
    workspace = finished.clone(tmp_path / "work")
    (workspace.folder / "results" / STUDY / name).unlink()
    planned = workspace.planned()
    assert {job for job in planned if ":" not in job} == DELETED[name]
    if "/shape-ae/" in name:
        assert not any("vqvae" in job for job in planned)
