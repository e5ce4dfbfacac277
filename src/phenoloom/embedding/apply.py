"""Vectors of a finished model for a folder of new images: the steps of a study, in a folder that goes away.

Nothing is read or cut in another way than in training: the sheet, the tile store, contours and index are made by the
same functions, with the settings that `model.yaml` has kept, and embedded by the same one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..artifacts.manifest import read_manifest
from ..artifacts.provenance import Provenance
from ..config.model import ImageModel
from ..config.rule_settings import ALGORITHM, EmbedSettings, IndexSettings
from ..core.atomic import write_atomically
from ..core.errors import PhenoloomError
from ..models.checkpoint import CARD, Card, read_card
from ..shapes.contours import ContourPolicy, extract_contours
from ..shapes.sources import outline_source
from ..splits.split import NEW
from ..study.index import make_index
from ..study.shards import shard_rows
from ..study.sheet import make_sheet
from ..tiles.convert import convert_shard
from .inference import encode
from .new_images import NewImages, Steps, steps_for
from .table import Features, write_features

SHARD = "0000"
INDEX_COLUMNS = ("id", "image_id", "plate", "well", "shard", "position")


@dataclass(frozen=True)
class Applied:
    """How many images were found, gave vectors, and could not be used (`quarantine` says why), and the vectors."""

    images: int
    used: int
    quarantined: int
    vectors: int
    without_contour: int
    quarantine: Path


@dataclass(frozen=True)
class _Stores:
    """Where the steps wrote; of `tiles` and `shapes` those that the model needs."""

    tiles: Path | None
    shapes: Path | None
    index: Path
    quarantine: Path
    images: int
    used: int
    quarantined: int


def apply_model(
    model: Path, new: NewImages, output: Path, *, name: str | None = None, threads: int = 1, scratch: Path | None = None
) -> Applied:
    """Write the vectors of new images to `output`, a Parquet table like those of a study, and a list of bad images.

    `model` is a folder with `model.yaml`, `name` what the columns of vectors are called (default: the model's name).
    Rows have the role `new`, and neither label nor group. Images that cannot be used stand in
    `<output without suffix>.quarantine.tsv`. Tiles lie in a hidden folder beside `output`, or in `scratch`, for as long
    as it takes. Raises PhenoloomError where the images lack what the model was trained on.
    """
    card = read_card(model)
    if card.preparation is None:
        raise PhenoloomError(
            f"{model / CARD} does not say how its images were prepared, as one that an earlier version trained; rerun "
            "`contours` (of a model of shapes) and train again"
        )
    study = new.folder.resolve().name or "new"
    steps = steps_for(card.preparation, new, study)
    with _workplace(output, scratch) as folder:
        made = _make(steps, folder, study, threads)
        shapes = not isinstance(card.model, ImageModel)
        stores = [store for store in (made.shapes if shapes else made.tiles,) if store]
        table = pq.read_table(made.index)
        frame = table.select([column for column in INDEX_COLUMNS if column in table.column_names]).to_pandas()
        vectors = encode(frame, stores, model, split=card.split, untrained=False, threads=threads, scratch=folder)
        features = Features(vectors.values, vectors.found, None, vectors.scale)
        _write(card, study, name or card.name, table, features, output, made)
        quarantine = output.with_suffix(".quarantine.tsv")
        listed = made.quarantine.read_bytes()
        write_atomically(quarantine, lambda file: file.write(listed))
    found = int(vectors.found.sum())
    return Applied(made.images, made.used, made.quarantined, found, len(frame) - found, quarantine)


def tell(applied: Applied, output: Path) -> None:
    """Say on stderr what came out, and what did not."""
    empty = applied.images - applied.used - applied.quarantined
    parts = [f"{output}: {applied.vectors} vectors of {applied.used} of {applied.images} images"]
    if applied.quarantined:
        parts.append(f"{applied.quarantined} images cannot be used, for the reasons in {applied.quarantine}")
    if empty:
        parts.append(f"{empty} images have no object or tile that the model could look at")
    if applied.without_contour:
        parts.append(f"{applied.without_contour} objects have no contour that could be embedded")
    print("; ".join(parts), file=sys.stderr)


def _make(steps: Steps, folder: Path, study: str, threads: int) -> _Stores:
    sheet, tiles, shapes = folder / "sheet.parquet", None, None
    make_sheet(steps.sheet, sheet, sheet.with_suffix(".json"))
    if steps.convert:
        tiles = folder / "tiles" / f"{SHARD}.json"
        convert_shard(steps.convert, sheet, SHARD, tiles, threads, steps.reading)
    if steps.contours:
        shapes = folder / "shapes" / f"{SHARD}.json"
        s = steps.contours
        source = outline_source(s.source, tiles, s.root, s.masks, s.outlines)
        policy = ContourPolicy(s.points, s.min_points, s.border, s.max_rejected_fraction)
        extract_contours(source, shard_rows(sheet, SHARD), policy, shapes, threads, Provenance.of(s))
    index, manifest, quarantine = (folder / f"index.{suffix}" for suffix in ("parquet", "json", "tsv"))
    rows = tiles or shapes
    assert rows is not None
    settings = IndexSettings(algorithm=ALGORITHM["index"], study=study)
    make_index(settings, sheet, [rows], index, manifest, quarantine)
    counted = read_manifest(manifest)
    found, lost = counted["found"]["images"], len({row["image_id"] for row in counted["quarantine"]})
    return _Stores(tiles, shapes, index, quarantine, counted["expected"]["images"], found, lost)


def _write(card: Card, study: str, name: str, table: pa.Table, features: Features, output: Path, made: _Stores) -> None:
    settings = EmbedSettings(
        algorithm=ALGORITHM["embed"],
        study=study,
        representation=name,
        split=card.split,
        descriptors=None,
        model_name=card.name,
        view=card.model.view,
        untrained=False,
        transductive=False,
    )
    rows = int(features.found.sum())
    trained = {"name": card.name, "study": card.study, "split": card.split, "settings_sha256": card.settings_sha256}
    write_features(
        settings,
        table,
        features,
        pa.nulls(rows, pa.string()),
        pa.array([NEW] * rows, pa.string()),
        output,
        model=trained,
        images=made.images,
        images_used=made.used,
        images_quarantined=made.quarantined,
        seen_test_groups=False,
    )


@contextmanager
def _workplace(output: Path, scratch: Path | None) -> Iterator[Path]:
    """A folder for as long as the body runs; what a killed run left of it is removed first."""
    # Runs on one scratch disk may write files of one name in different folders.
    place = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:12]
    folder = (scratch or output.parent) / f".{output.name}.{place}.steps"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
