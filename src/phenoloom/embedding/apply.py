"""Embed a folder of new images with a finished model: the steps of a study, in a temporary folder.

The sheet, the tile store, contours and index are made by the same functions as in training, with the settings in
`model.yaml`, and embedded by the same one, so new images get the vectors that they would have had in the study.
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

import pandas as pd
import pyarrow as pa

from ..artifacts.layout import StudyFolder
from ..artifacts.manifest import read_manifest
from ..artifacts.parquet import read_result, read_result_schema
from ..artifacts.provenance import Provenance
from ..config.rule_settings import ALGORITHM, IndexSettings
from ..core.atomic import write_atomically
from ..models.checkpoint import Card, read_card
from ..shapes.contours import ContourPolicy, extract_contours
from ..shapes.sources import outline_source
from ..splits.split import NEW
from ..study.index import IndexFiles, make_index
from ..study.objects import make_objects
from ..study.shards import shard_rows
from ..study.sheet import make_sheet
from ..tiles.convert import convert_shard
from .inference import Encoded, encode
from .new_images import NewImages, Steps, steps_for
from .representation import Encoder
from .table import METADATA, Features, TableFacts, write_embedding

SHARD = "0000"


@dataclass(frozen=True)
class Applied:
    """The result of embedding new images.

    Attributes:
        images: Number of images that were found.
        used: Number of images that gave vectors.
        quarantined: Number of images that could not be used.
        vectors: Number of vectors.
        without_contour: Number of objects without a contour that could be embedded.
        quarantine: Table of the images that could not be used, with reasons.
    """

    images: int
    used: int
    quarantined: int
    vectors: int
    without_contour: int
    quarantine: Path


@dataclass(frozen=True)
class _Made:
    """Where the steps wrote, and what they counted; `tiles` or `shapes` is None where the model needs none."""

    study: str
    tiles: Path | None
    shapes: Path | None
    index: Path
    quarantine: Path
    images: int
    used: int
    quarantined: int

    def rows(self) -> pd.DataFrame:
        """Return the rows of the index."""
        there = read_result_schema(self.index).names
        wanted = [name for name in ("id", "shard", "position") if name in there]
        rows: pd.DataFrame = read_result(self.index, columns=wanted).to_pandas()
        return rows


def apply_model(
    model: Path, new: NewImages, output: Path, *, name: str | None = None, threads: int = 1, scratch: Path | None = None
) -> Applied:
    """Write the vectors of new images, as a table like those of a study, and a list of bad images.

    Rows have the role `new`, and neither label nor group. Images that cannot be used are listed in
    `<output without suffix>.quarantine.tsv`.

    Args:
        model: Folder of the model.
        new: The new images.
        output: Table of the vectors.
        name: Name of the representation, which names the columns; the model's name by default.
        threads: Number of threads.
        scratch: Folder for tiles while it runs; a hidden folder beside `output` by default.

    Raises:
        PhenoloomError: The images lack something that the model was trained on.
    """
    card = read_card(model)
    study = new.folder.resolve().name or "new"
    steps = steps_for(card.preparation, new, study)
    with _workplace(output, scratch) as folder:
        made = _make(steps, folder, study, threads)
        store = made.shapes if card.model.view == "shapes" else made.tiles
        encoded = encode(Encoder(model, card.split), made.rows(), [store] if store else [], folder, threads)
        _write(output, name or card.name, card, made, encoded)
        quarantine = output.with_suffix(".quarantine.tsv")
        listed = made.quarantine.read_bytes()
        write_atomically(quarantine, lambda file: file.write(listed))
    found = int(encoded.found.sum())
    return Applied(made.images, made.used, made.quarantined, found, len(encoded.found) - found, quarantine)


def print_result(applied: Applied, output: Path) -> None:
    """Print on stderr what came out, and what did not."""
    empty = applied.images - applied.used - applied.quarantined
    parts = [f"{output}: {applied.vectors} vectors of {applied.used} of {applied.images} images"]
    if applied.quarantined:
        parts.append(f"{applied.quarantined} images cannot be used, for the reasons in {applied.quarantine}")
    if empty:
        parts.append(f"{empty} images have no object or tile that the model could look at")
    if applied.without_contour:
        parts.append(f"{applied.without_contour} objects have no contour that could be embedded")
    print("; ".join(parts), file=sys.stderr)


def _make(steps: Steps, folder: Path, study: str, threads: int) -> _Made:
    paths = StudyFolder(folder)
    sheet, tiles, shapes = paths.sheet, None, None
    raw = steps.sheet.source.model_copy(update={"root": steps.sheet.root})
    rejected, made_by = steps.sheet.max_rejected_fraction, Provenance.of(steps.sheet)
    make_sheet(raw, steps.sheet.shards, rejected, sheet, paths.sheet_manifest, made_by)
    objects = None
    if steps.objects:
        objects, o = paths.objects_manifest, steps.objects
        make_objects(o.source.model_copy(update={"root": o.root}), sheet, paths.objects, objects, Provenance.of(o))
    if steps.convert and (conversion := steps.conversion(objects)):
        tiles = paths.tiles.manifest(SHARD)
        convert_shard(conversion, sheet, SHARD, tiles, Provenance.of(steps.convert), threads)
    if steps.contours:
        shapes = paths.shapes.manifest(SHARD)
        s = steps.contours
        source = outline_source(s.source, tiles, s.root, s.masks, s.outlines)
        policy = ContourPolicy.of(s)
        extract_contours(source, shard_rows(sheet, SHARD), policy, shapes, threads, Provenance.of(s))
    index, manifest, quarantine = paths.index, paths.index_manifest, paths.quarantine
    # Rows are tiles where there are any, as in a study.
    rows = [path for path in (tiles, shapes) if path][:1]
    settings = IndexSettings(algorithm=ALGORITHM["index"], study=study, shapes=steps.contours is not None)
    files = IndexFiles(index, quarantine, manifest)
    make_index(sheet, rows, files, Provenance.of(settings), objects, settings.shapes)
    counted = read_manifest(manifest)
    found, lost = counted["found"]["images"], len({row["image_id"] for row in counted["quarantine"]})
    return _Made(study, tiles, shapes, index, quarantine, counted["expected"]["images"], found, lost)


def _write(output: Path, name: str, card: Card, made: _Made, encoded: Encoded) -> None:
    """Write the vectors of the rows that have one, as `new` rows without a group."""
    there = [name for name in read_result_schema(made.index).names if name in METADATA]
    kept = read_result(made.index, columns=there).filter(pa.array(encoded.found))
    rows = kept.append_column("group", pa.nulls(len(kept), pa.string()))
    rows = rows.append_column("role", pa.array([NEW] * len(kept), pa.string()))
    trained = {"name": card.name, "study": card.study, "split": card.split, "settings_sha256": card.settings_sha256}
    counts = {"images": made.images, "images_used": made.used, "images_quarantined": made.quarantined}
    # No rule asked for these vectors: the settings that they follow from are those of the model.
    made_by = Provenance(made.study, {}, card.settings_sha256)
    facts = TableFacts(made.study, name, card.split, made_by, {"model": trained, **counts})
    write_embedding(output, rows, Features(encoded.values, encoded.found, scale=encoded.source.scale), facts)


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
