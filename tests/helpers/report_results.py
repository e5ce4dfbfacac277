"""A small made-up study in the results layout, complete or with parts left out, for the tests of the report."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zarr

from phenoloom.artifacts.layout import StudyFolder
from phenoloom.config.rule_settings import IndexSettings, ReportSettings
from phenoloom.config.study import Report
from phenoloom.evaluation import metrics
from phenoloom.evaluation.compare import Compared, summarise
from phenoloom.report import make_report
from phenoloom.report.results import Results
from phenoloom.report.scoreboard import Scoreboard
from phenoloom.tiles.shard_file import Layout
from phenoloom.tiles.store import TileWriter
from tests.helpers.manifests import put_manifest
from tests.helpers.page import Page

SIZE, POINTS, FOLDS = 64, 64, 5
HOSTILE = "<script>window.pwned = 1</script>\"'&"
CHANNELS = ["DNA", "actin"]

# Name of a representation -> its entry, and how often its probe is right.
REPRESENTATIONS: dict[str, tuple[dict[str, Any], float]] = {
    "regionprops": ({"descriptors": "regionprops"}, 0.78),
    "efd": ({"descriptors": "efd"}, 0.62),
    "vqvae": ({"model": "vqvae-resnet18"}, 0.86),
    "vqvae-untrained": ({"model": "vqvae-resnet18", "untrained": True}, 0.55),
    "shape-ae": ({"model": "shape-ae"}, 0.75),
    "vqvae-all": ({"model": "vqvae-resnet18", "transductive": True}, 0.87),
    "shape-and-props": ({"concatenate": ["shape-ae", "regionprops"]}, 0.79),
}
# The same for a model that was trained with three seeds, the second of which is lucky.
SEEDS = {0: 0.80, 1: 0.93, 2: 0.78}
DRAWN: dict[str, tuple[dict[str, Any], float]] = {
    **{f"contrast.seed-{seed}": ({"model": f"contrast.seed-{seed}"}, skill) for seed, skill in SEEDS.items()},
    **{
        f"contrast-untrained.seed-{seed}": ({"model": f"contrast.seed-{seed}", "untrained": True}, 0.5)
        for seed in SEEDS
    },
    **{
        f"contrast-and-props.seed-{seed}": ({"concatenate": [f"contrast.seed-{seed}", "regionprops"]}, 0.7)
        for seed in SEEDS
    },
}
ENTRIES = REPRESENTATIONS | DRAWN
PROBES = {"logistic": 0.0, "knn": -0.06, "forest": -0.02}


@dataclass
class MadeUp:
    """What the study has; names may be hostile."""

    title: str = "Four nuclear phenotypes, made up"
    licence: str = "CC0-1.0"
    reference: str | None = "https://example.org/idr0000"
    classes: list[str] = field(default_factory=lambda: ["round", "elongated", "lobed", "spiky"])
    plates: list[str] = field(default_factory=lambda: ["P1", "P2", "P3"])
    wells: int = 8
    cells: int = 5
    tiles: bool = True
    shapes: bool = True
    scores: bool = True
    models: bool = True
    maps: bool = True
    benchmarks: bool = True
    quarantine: int = 3
    reason: str = "truncated TIFF: strip 4 of 8 ends after the end of the file"
    name: str = "made-up"
    representations: list[str] = field(default_factory=lambda: list(REPRESENTATIONS))

    @property
    def families(self) -> dict[str, dict[str, int]]:
        """Those that are drawn with several seeds."""
        found: dict[str, dict[str, int]] = {}
        for name in self.representations:
            if name in DRAWN:
                family, _, seed = name.rpartition(".seed-")
                found.setdefault(family, {})[name] = int(seed)
        return found

    @property
    def settings(self) -> ReportSettings:
        plain = {"descriptors": None, "model": None, "concatenate": None, "untrained": False, "transductive": False}
        return ReportSettings(
            algorithm=1,
            study=self.name,
            title=self.title,
            licence=self.licence,
            reference=self.reference,
            report=Report(sample_tiles=6, map_points=3000),
            unit="object",
            representations={name: plain | ENTRIES[name][0] for name in self.representations},
            families=self.families,
            seed=0,
        )

    @property
    def titles(self) -> dict[str, str]:
        """Titles by study for the overview, with a study that has no report."""
        return {self.name: self.title, "not-run": "A study that never ran"}


@dataclass(frozen=True)
class ReportedStudy:
    """A made-up study, its results as the report reads them, and its page."""

    made_up: MadeUp
    results: Results
    page: Page

    @property
    def scoreboard(self) -> Scoreboard:
        assert self.results.scores is not None
        assert self.results.comparisons is not None
        settings = self.made_up.settings
        return Scoreboard(self.results.scores, self.results.comparisons, settings.representations, settings.families)


def report_on(study: MadeUp, results: Path) -> ReportedStudy:
    """Write the study into the folder of results, and its page."""
    folder, benchmarks = write_results(study, results)
    page = StudyFolder(folder).report
    make_report(study.settings, folder, benchmarks, page)
    return ReportedStudy(study, read_results(folder, benchmarks), Page(page.read_text(encoding="utf-8")))


def read_results(folder: Path, benchmarks: Path) -> Results:
    return Results(StudyFolder(folder), benchmarks)


def write_results(study: MadeUp, results: Path) -> tuple[Path, Path]:
    """Write the study's folder and its benchmarks; returns both."""
    folder, benchmarks = results / study.name, results / "benchmarks" / study.name
    rng = np.random.default_rng(7)
    index = _index(study, rng)
    contours = np.stack([_contour(study.classes.index(label), rng) for label in index["label"]])
    folder.mkdir(parents=True)
    _write(index.drop(columns=["x", "y"] if not study.tiles else []), folder / "index.parquet")
    _write_sheet(study, index, folder)
    if study.tiles:
        _write_tiles(study, index, contours, folder / "tiles", rng)
        _write_losses(study, index, folder)
    if study.shapes:
        _write_shapes(index, contours, folder / "shapes")
    folds = _write_folds(study, index, folder / "folds.parquet")
    if study.scores:
        _write_scores(study, folds, folder, rng)
    if study.models:
        _write_models(folder / "models", contours, rng)
    if study.models and study.shapes:
        _write_shape_spaces(study, contours, folder / "embeddings", rng)
    if study.maps:
        _write_maps(study, index, folds, folder / "embeddings.h5ad", rng)
    if study.benchmarks:
        _write_benchmarks(benchmarks, rng)
    return folder, benchmarks


def _write(table: pd.DataFrame, path: Path, facts: dict[str, Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pa.Table.from_pandas(table, preserve_index=False)
    if facts is not None:
        content = content.replace_schema_metadata({b"phenoloom": json.dumps(facts).encode()})
    pq.write_table(content, path)


def _manifest(path: Path, stage: str, study: str, **facts: Any) -> None:
    put_manifest(path, stage, IndexSettings(algorithm=1, study=study), **facts)


def _index(study: MadeUp, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for p, plate in enumerate(study.plates):
        for w in range(study.wells):
            well = f"{'ABCDEFGH'[w % 8]}{1 + w // 8:02d}"
            label = study.classes[(w + p) % len(study.classes)]
            for n in range(study.cells):
                image = f"{plate}/{well}/1"
                rows.append((f"{image}#{n:04d}", image, plate, well, label, f"{plate}/{well}", f"{p % 2:04d}"))
    index = pd.DataFrame(rows, columns=["id", "image_id", "plate", "well", "label", "group", "shard"])
    index["position"] = index.groupby("shard").cumcount().astype("int64")
    return index.assign(
        x=rng.integers(0, 900, len(index)).astype("int32"), y=rng.integers(0, 900, len(index)).astype("int32")
    )


def _contour(kind: int, rng: np.random.Generator) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    radius = [1.0, 1.0, 1 + 0.25 * np.cos(3 * t), 1 + 0.16 * np.cos(9 * t)][kind % 4] * np.ones(POINTS)
    radius = radius * (1 + 0.03 * np.cos(2 * t + rng.uniform(0, 6))) * rng.uniform(14, 19)
    points = np.column_stack([np.cos(t), np.sin(t)]) * radius[:, None] * ([1.0, 0.55] if kind % 4 == 1 else [1.0, 1.0])
    turn = rng.uniform(0, 2 * np.pi)
    points = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (points - points.mean(axis=0)).astype(np.float32)


def _tile(contour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import cv2

    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [np.rint(contour + SIZE / 2).astype(np.int32)], 1)
    rim = cv2.dilate(mask, np.ones((7, 7))) - cv2.erode(mask, np.ones((3, 3)))
    blurred = [cv2.GaussianBlur(m.astype(np.float64), (0, 0), 1.2) for m in (mask, rim)]
    texture = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)), (0, 0), 2) * 900
    planes = [blurred[0] * (3000 + texture), blurred[1] * 2200]
    return np.clip(rng.poisson(np.clip(np.stack(planes), 0, None) + 180), 0, 65535).astype(np.uint16)


def _write_sheet(study: MadeUp, index: pd.DataFrame, folder: Path) -> None:
    sheet = index[["image_id", "plate", "well", "label"]].drop_duplicates()
    broken = [f"{study.plates[0]}/H{12 - i}/1" for i in range(study.quarantine)]
    sheet = pd.concat([sheet, pd.DataFrame({"image_id": broken, "plate": study.plates[0], "well": "H12"})])
    _write(sheet, folder / "sheet.parquet")
    _manifest(folder / "sheet.json", "sheet", study.name, expected={"images": len(sheet)}, found={"images": len(sheet)})
    rows = [("convert", image, f"raw/{image}.tif", study.reason) for image in broken]
    pd.DataFrame(rows, columns=["stage", "image_id", "file", "reason"]).to_csv(
        folder / "quarantine.tsv", sep="\t", index=False
    )


def _write_losses(study: MadeUp, index: pd.DataFrame, folder: Path) -> None:
    """Write the manifest of the index, with one object lost: too few for a warning."""
    classes = {str(label): [0, int(n)] for label, n in index["label"].value_counts().items()}
    first = next(iter(classes.values()))
    first[:] = [1, first[1] + 1]
    lost = {"reason": "object touches the image border", "lost": 1, "of": len(index) + 1, "classes": classes}
    counts, losses = {"images": index["image_id"].nunique()}, {"reasons": [lost], "fitting_px": SIZE}
    _manifest(folder / "index.json", "index", study.name, expected=counts, found=counts, losses=losses)


def _write_tiles(
    study: MadeUp, index: pd.DataFrame, contours: np.ndarray, folder: Path, rng: np.random.Generator
) -> None:
    folder.mkdir()
    for shard, rows in index.groupby("shard"):
        writer = TileWriter(
            folder / f"{shard}.zarr", Layout((2, SIZE, SIZE), np.dtype("uint16"), per_file=64, compression="lz4")
        )
        for contour in contours[rows.index]:
            writer.append(writer.encode(_tile(contour, rng)))
        content = writer.close({"channels": CHANNELS, "pixel_size_um": 0.325})
        _write(rows[["id", "image_id", "x", "y"]], folder / f"{shard}.parquet")
        _manifest(
            folder / f"{shard}.json",
            "convert",
            study.name,
            expected={"images": rows["image_id"].nunique() + study.quarantine},
            found={"images": rows["image_id"].nunique(), "tiles": len(rows)},
            rejected={"touches the border of the image": 17, "smaller than 60 px": 4},
            content=content,
            arrays=writer.arrays(),
        )
        manifest = json.loads((folder / f"{shard}.json").read_text())
        manifest["settings"] |= {"channels": CHANNELS, "pixel_size_um": 0.325}
        (folder / f"{shard}.json").write_text(json.dumps(manifest))


def _write_shapes(index: pd.DataFrame, contours: np.ndarray, folder: Path) -> None:
    folder.mkdir()
    for shard, rows in index.groupby("shard"):
        group = zarr.create_group(folder / f"{shard}.zarr", zarr_format=3)
        group.create_array("contours", data=contours[rows.index], chunks=(64, POINTS, 2))
        table = rows[["id", "image_id"]].assign(
            centre_x=rows["x"] + np.float32(SIZE / 2), centre_y=rows["y"] + np.float32(SIZE / 2)
        )
        table["scale"] = np.sqrt((contours[rows.index] ** 2).sum(axis=2).mean(axis=1))
        _write(table, folder / f"{shard}.parquet")
        counts = {"contours": len(rows)}
        _manifest(folder / f"{shard}.json", "contours", "made-up", expected=counts, found=counts)


def _write_folds(study: MadeUp, index: pd.DataFrame, path: Path) -> pd.DataFrame:
    groups = {label: sorted(set(rows["group"])) for label, rows in index.groupby("label")}
    fold_of = {group: i % FOLDS for members in groups.values() for i, group in enumerate(members)}
    folds = index[["id", "group", "label"]].sort_values("id")
    folds = folds.assign(fold=folds["group"].map(fold_of).astype("int16"))
    facts = {
        "classes": dict(Counter(folds["label"])),
        "dropped": {"binucleate": 3},
        "merged_duplicates": 0,
        "unlabelled": 0,
        "unit": "object",
        "group": "well",
        "scheme": "stratified-group-kfold",
        "count": FOLDS,
        "multi_label": False,
        "settings_sha256": "f" * 64,
    }
    _write(folds, path, facts)
    return folds


def _write_scores(study: MadeUp, folds: pd.DataFrame, folder: Path, rng: np.random.Generator) -> None:
    rows: list[tuple[Any, ...]] = []
    names = sorted(study.classes)
    for name in study.representations:
        skill = ENTRIES[name][1]
        chance = {"dummy": None, "logistic-shuffled": 0.0}
        for probe, right in {**{p: skill + d for p, d in PROBES.items()}, **chance}.items():
            for fold, units in folds.groupby("fold"):
                true = np.array([names.index(label) for label in units["label"]])
                guess = rng.integers(0, len(names), len(true))
                hit = rng.random(len(true)) < (right or 0.0)
                predicted = np.zeros_like(true) if right is None else np.where(hit, true, guess)
                rows += [(study.name, name, probe, fold, *row) for row in _metrics(true, predicted, names)]
                groups = units["group"].nunique()
                rows.append((study.name, name, probe, fold, "units_test", "", "", float(len(units)), len(units)))
                rows.append((study.name, name, probe, fold, "groups_test", "", "", float(groups), len(units)))
    columns = ["study", "representation", "probe", "fold", "metric", "class", "predicted", "value", "support"]
    scores = pd.DataFrame(rows, columns=columns)
    _write(scores, folder / "scores.parquet")
    compared = Compared(study.representations, study.families)
    pq.write_table(summarise(study.name, compared, scores), folder / "comparisons.parquet")


def _metrics(true: np.ndarray, predicted: np.ndarray, names: list[str]) -> list[tuple[Any, ...]]:
    table = metrics.confusion_matrix(true, predicted, len(names))
    support = table.sum(axis=1)
    overall = {
        "macro_f1": metrics.macro_f1(table),
        "balanced_accuracy": metrics.balanced_accuracy(table),
        "mcc": metrics.mcc(table),
    }
    rows: list[tuple[Any, ...]] = [(metric, "", "", value, len(true)) for metric, value in overall.items()]
    rows += [("f1", names[i], "", value, int(support[i])) for i, value in enumerate(metrics.f1(table)) if support[i]]
    cells = [(i, j) for i in range(len(names)) for j in range(len(names))]
    return rows + [("confusion", names[i], names[j], float(table[i, j]), int(support[i])) for i, j in cells]


def _write_models(folder: Path, contours: np.ndarray, rng: np.random.Generator) -> None:
    for model in ("vqvae-resnet18", "shape-ae"):
        for fold in range(FOLDS):
            run = folder / model / f"fold-{fold}"
            run.mkdir(parents=True)
            epochs = np.arange(30)
            loss = 0.2 + np.exp(-epochs / 6) + rng.normal(scale=0.01, size=30)
            curve = pd.DataFrame({"epoch": epochs, "train_loss": loss, "val_loss": loss + 0.05 + 0.002 * epochs})
            if model.startswith("vqvae"):
                curve["perplexity"] = 300 * (1 - np.exp(-epochs / 8)) + rng.normal(scale=4, size=30)
                curve["effective_rank"] = 20 + epochs / 3
                curve["knn_accuracy"] = 0.5 + epochs / 100
                speeds = {"epoch": epochs, "items_per_second": 900.0 + epochs, "waited_for_data": 0.01}
                pd.DataFrame(speeds).to_csv(run / "throughput.csv", index=False)
            curve.to_csv(run / "metrics.csv", index=False)
            (run / "model.yaml").write_text(yaml.safe_dump({"settings_sha256": "a" * 64, "phenoloom": "0.1.0"}))
            _write_reconstructions(model, run, contours, rng)


def _write_reconstructions(model: str, run: Path, contours: np.ndarray, rng: np.random.Generator) -> None:
    picked = contours[rng.choice(len(contours), 8, replace=False)]
    if model == "shape-ae":
        before = picked / 16
        after = before @ np.array([[0.0, -1.0], [1.0, 0.0]]) + rng.normal(scale=0.03, size=before.shape)
    else:
        before = np.stack([_tile(contour, rng) for contour in picked]) / 4000.0 - 0.5
        after = (before + np.roll(before, 1, -1) + np.roll(before, 1, -2) + np.roll(before, -1, -1)) / 4
    np.savez(run / "reconstructions.npz", inputs=before.astype(np.float16), outputs=after.astype(np.float16))


def _write_shape_spaces(study: MadeUp, contours: np.ndarray, folder: Path, rng: np.random.Generator) -> None:
    """What `embed` would say of the shape model, of two folds; the report shows the first."""
    unit = contours / 16
    shares = rng.dirichlet(np.ones(5), len(study.classes))
    changes = ["start at another point", "mask noise of one pixel"]
    arrays = {
        "mode_outlines": unit[:5],
        "mode_decoded": 0.95 * unit[:5],
        "mode_outside": np.zeros(5, np.float32),
        "mode_rows": np.array([40, 30, 15, 10, 5]),
        "mode_fit": np.array([0.5, 0.6]),
        "mode_labels": np.array(study.classes),
        "mode_label_rows": np.full(len(study.classes), 6),
        "mode_occupancy": shares,
        "mode_entropy": -(shares * np.log2(shares)).sum(axis=1),
        "invariance_changes": np.array(changes),
        "invariance_moved": np.array([[3e-7, 8e-7], [0.21, 0.4]]),
        "decoded_errors": np.array([0.01, 0.02, 0.03]),
        "decoded_outside": np.array([0.0, 0.0, 0.0]),
        "path_outlines": unit[:14].reshape(2, 7, POINTS, 2),
        "path_outside": np.array([[0.02] * 7, [0.04] * 7]),
        "path_ends": unit[14:18].reshape(2, 2, POINTS, 2),
        "path_labels": np.array([study.classes[:2], study.classes[1:3]]),
        "drawn_outlines": unit[20:24],
        "drawn_outside": np.zeros(4),
    }
    (folder / "shape-ae").mkdir(parents=True)
    for fold, scale in ((0, 1), (1, 3)):
        values = {**arrays, "decoded_errors": scale * arrays["decoded_errors"]}
        np.savez(folder / "shape-ae" / f"fold-{fold}.shapes.npz", **values)


def _write_maps(study: MadeUp, index: pd.DataFrame, folds: pd.DataFrame, path: Path, rng: np.random.Generator) -> None:
    codes = index["label"].map(study.classes.index).to_numpy()
    plates = index["plate"].map(study.plates.index).to_numpy()
    obs = index.set_index("id")[["label", "plate", "group"]].astype("category")
    obs["fold"] = folds.set_index("id")["fold"].reindex(obs.index)
    data = anndata.AnnData(obs=obs)
    data.uns["maps"] = {}
    for name in study.representations:
        spread = 3 * ENTRIES[name][1]
        centres = rng.normal(scale=spread, size=(len(study.classes), 2))
        shift = rng.normal(scale=0.6, size=(len(study.plates), 2))
        data.obsm[f"{name}.map"] = centres[codes] + shift[plates] + rng.normal(scale=0.9, size=(len(index), 2))
        data.obsm[f"{name}.map"][::10] = np.nan
        entry = ENTRIES[name][0]
        split = "fold-0" if "model" in entry and not entry.get("transductive") else "all"
        data.uns["maps"][name] = {"method": "t-SNE", "split": split, "points": len(index)}
    data.write_h5ad(path)


def _write_benchmarks(folder: Path, rng: np.random.Generator) -> None:
    jobs = {"sheet": 1, "convert": 2, "index": 1, "contours": 2, "folds": 1, "pretrain": 10, "embed": 14, "classify": 6}
    for rule, number in jobs.items():
        (folder / rule).mkdir(parents=True)
        for job in range(number):
            seconds = float(rng.uniform(1, 90 if rule == "pretrain" else 6))
            row = {"s": round(seconds, 4), "h:m:s": "0:00:01", "max_rss": 180 + 20 * seconds, "cpu_time": seconds * 1.7}
            asked = {"tmpdir": "/tmp", "mem_mb": 8300 if rule == "pretrain" else 1100, "mem": "1.1 GB", "runtime": 480}
            row |= {"threads": 2, "resources": str(asked | ({"gpu": 1} if rule == "pretrain" else {}))}
            pd.DataFrame([row]).to_csv(folder / rule / f"{job}.tsv", sep="\t", index=False)
