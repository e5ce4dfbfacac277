"""Make the index: all tiles or contours of a study, with what the sheet says about their images."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..artifacts.manifest import Manifest, file_digest, read_manifest, write_manifest
from ..artifacts.parquet import read_result, read_result_schema
from ..artifacts.provenance import Provenance
from ..core.atomic import atomic_path, write_atomically
from ..core.errors import PhenoloomError
from ..images.objects import LeftOut
from .losses import Losses
from .object_labels import ROWS_OF_POINTS, LabelledObjects
from .shard_arrays import Stated, merged_arrays

FROM_SHEET = ("plate", "well", "row", "column", "field", "label", "group")
QUARANTINE = ("stage", "image_id", "file", "reason")


@dataclass(slots=True)
class Totals:
    """Counts that are kept while shards are joined.

    Attributes:
        rows: Number of rows.
        images: Images that have rows.
        unlabelled: Rows without a label.
        classes: Rows of each class.
        hashes: A 64-bit hash of the id of every row.
    """

    rows: int = 0
    images: int = 0
    unlabelled: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)


@dataclass(frozen=True)
class IndexFiles:
    """The files that the step writes.

    Attributes:
        index: The rows of all shards.
        quarantine: The images that cannot be used, with their reasons.
        manifest: The manifest, written last.
    """

    index: Path
    quarantine: Path
    manifest: Path


def make_index(
    sheet: Path,
    shards: list[Path],
    files: IndexFiles,
    made_by: Provenance,
    objects: Path | None = None,
    outlines: bool = False,
) -> None:
    """Join the tables of all shards with the sheet; one shard is in memory at a time.

    Args:
        sheet: The sheet of the study, with its manifest beside it.
        shards: Manifests of `tiles/` or of `shapes/`, each with its Parquet table beside it.
        files: What is written.
        made_by: Study and settings, for the manifest.
        objects: Manifest of the table of objects, which lies beside it; None: the study has none.
        outlines: Whether objects that are larger than a tile are rows too, because the study looks at outlines.

    Raises:
        PhenoloomError: Shards disagree on channels, dtype or shape, a shard of the sheet is missing, an id occurs
            twice, most rows of the table of objects belong to no object, or no row is left.
    """
    files.manifest.unlink(missing_ok=True)
    ordered = sorted(shards, key=lambda path: path.stem)
    manifests = [read_manifest(path) for path in ordered]
    stacked = {"stack"} & set(read_result_schema(sheet).names)
    images = read_result(sheet, columns=["image_id", "shard", *FROM_SHEET, *stacked])
    _refuse_other_shards(images, ordered)
    arrays = merged_arrays(ordered, manifests)
    labelled = LabelledObjects(objects) if objects else None
    if labelled and labelled.gives_labels:
        images = _without_labels(images)
    joined = _Joined(images, labelled, Losses(images), outlines)
    totals = _write_rows(joined, dict(zip(ordered, manifests, strict=True)), files.index)
    sheet_manifest = read_manifest(sheet.with_suffix(".json"))
    rejected = sum((Counter(m["rejected"]) for m in manifests), Counter[str]())
    lost = _quarantine_rows([sheet_manifest, *manifests])
    write_atomically(files.quarantine, lambda file: file.write(_tsv(lost)))
    write_manifest(
        files.manifest,
        Manifest(
            "index",
            made_by,
            expected={"images": int(sheet_manifest["expected"]["images"]), "shards": len(ordered)},
            found={"images": totals.images, "shards": len(ordered), "rows": totals.rows},
            rejected=rejected,
            quarantine=[{name: row[name] for name in QUARANTINE[1:]} for row in lost],
            arrays=arrays,
            content=file_digest([files.index]),
            facts={
                "quarantined_by_stage": dict(sorted(Counter(row["stage"] for row in lost).items())),
                **joined.facts(totals, unlisted=len(sheet_manifest["quarantine"])),
                **{name: manifests[0][name] for name in ("channels",) if name in manifests[0]},
            },
        ),
    )


@dataclass(frozen=True)
class _Joined:
    """What shards are joined with, and what is counted meanwhile."""

    images: pa.Table
    objects: LabelledObjects | None
    losses: Losses
    outlines: bool

    def rows(self, rows: pa.Table, path: Path, manifest: Stated) -> pa.Table:
        """Return the rows of the index of one shard; `rows` are those of its table."""
        rows = _join(rows, self.images, path)
        if self.objects is not None:
            rows = self.objects.join(rows, path.stem, manifest)
        self.losses.add(rows, manifest)
        return _kept(rows, self.outlines)

    def facts(self, totals: Totals, unlisted: int) -> Stated:
        """Return what the manifest states of the rows; `unlisted` images are in quarantine and not in the sheet."""
        return {
            "classes": dict(sorted(totals.classes.items())),
            "unlabelled": totals.unlabelled,
            **({"objects": self.objects.finish()} if self.objects else {}),
            "losses": self.losses.facts(unlisted),
        }


def _write_rows(joined: _Joined, shards: Mapping[Path, Stated], index: Path) -> Totals:
    totals, schema, first = Totals(), None, next(iter(shards))
    with atomic_path(index) as temporary:
        writer = None
        try:
            for path, manifest in shards.items():
                rows = _read_rows(path, manifest)
                if schema is not None and rows.schema != schema:
                    raise PhenoloomError(
                        f"{path.with_suffix('.parquet')} has other columns than {first.with_suffix('.parquet')} "
                        f"({_difference(rows.schema, schema)}); the shards were made by different versions: rerun them"
                    )
                schema = rows.schema
                kept = joined.rows(rows, path, manifest)
                _count(totals, kept)
                writer = writer or pq.ParquetWriter(temporary, kept.schema)
                writer.write_table(kept)
        finally:
            if writer is not None:
                writer.close()
        if totals.rows == 0:
            raise PhenoloomError(
                f"No object or tile is left in {len(shards)} shards of {first.parent}; their manifests count why "
                f"({_reasons(list(shards.values()))}). Correct `masks`, `tiles` or `shapes` of the study"
            )
        _refuse_repeated_ids(totals, temporary)
    return totals


def _without_labels(images: pa.Table) -> pa.Table:
    place = images.schema.get_field_index("label")
    return images.set_column(place, images.schema.field(place), pa.nulls(len(images), images.schema.field(place).type))


def _kept(rows: pa.Table, outlines: bool) -> pa.Table:
    """Return the rows with a tile, and on request those of objects that are only too large for one."""
    rows = rows.drop_columns([name for name in (ROWS_OF_POINTS,) if name in rows.column_names])
    if "left_out" not in rows.column_names:
        return rows
    kept = pc.is_null(rows["left_out"])
    if outlines:
        kept = pc.or_(kept, pc.equal(rows["left_out"], str(LeftOut.TOO_LARGE)).fill_null(False))
    return rows.filter(kept).drop_columns("left_out")


def _read_rows(path: Path, manifest: Stated) -> pa.Table:
    table = path.with_suffix(".parquet")
    # The masks of large objects are for `contours`.
    rows = read_result(table, columns=[name for name in read_result_schema(table).names if name != "runs"])
    stored = rows.num_rows
    if "position" in rows.column_names:
        stored = int(np.count_nonzero(rows["position"].to_numpy() >= 0))
    for name, array in manifest["arrays"].items():
        if array["shape"][0] != stored:
            raise PhenoloomError(
                f"{path} states {array['shape'][0]} {name}, but its table lists {stored}; rerun its step"
            )
    return rows


def _join(rows: pa.Table, images: pa.Table, path: Path) -> pa.Table:
    """Return the rows of one shard with the sheet's columns, `shard`, and `position` where the table has none."""
    at = pc.index_in(rows["image_id"].cast(pa.string()), value_set=images["image_id"].combine_chunks())
    shard = path.stem
    found = images.take(at)
    if rows.num_rows and not pc.all(pc.equal(found["shard"], shard).fill_null(False)).as_py():
        stranger = rows["image_id"].filter(pc.invert(pc.equal(found["shard"], shard).fill_null(False)))[0]
        raise PhenoloomError(
            f"{path} holds image {stranger.as_py()!r}, which the sheet does not have in shard {shard}; the sheet is "
            f"newer than the shard: rerun the shard's step"
        )
    for name in [name for name in (*FROM_SHEET, "stack") if name in found.column_names]:
        rows = rows.append_column(images.schema.field(name), found[name])
    rows = rows.append_column("shard", pa.array([shard] * rows.num_rows, pa.string()))
    if "position" in rows.column_names:
        return rows
    return rows.append_column("position", pa.array(np.arange(rows.num_rows)))


def _count(totals: Totals, rows: pa.Table) -> None:
    labels = rows["label"]
    many = pa.types.is_list(labels.type)
    counts = pc.value_counts(pc.list_flatten(labels) if many else labels.drop_null())
    totals.classes.update({row["values"]: row["counts"] for row in counts.to_pylist()})
    totals.rows += rows.num_rows
    totals.images += pc.count_distinct(rows["image_id"]).as_py()
    totals.unlabelled += labels.null_count
    # Eight bytes an id instead of the text: ids of millions of objects stay in memory.
    totals.hashes.append(pd.util.hash_array(rows["id"].to_numpy(zero_copy_only=False), categorize=False))


def _refuse_repeated_ids(totals: Totals, index: Path) -> None:
    hashes = np.concatenate(totals.hashes)
    if len(np.unique(hashes)) == len(hashes):
        return
    counts = pc.value_counts(read_result(index, columns=["id"])["id"])
    twice = [row["values"] for row in counts.to_pylist() if row["counts"] > 1]
    if twice:
        raise PhenoloomError(f"The id {twice[0]!r} occurs more than once in the shards; {len(twice)} ids do, none may")


def _refuse_other_shards(images: pa.Table, shards: list[Path]) -> None:
    expected, found = set(pc.unique(images["shard"]).to_pylist()), {path.stem for path in shards}
    if expected != found or len(found) != len(shards):
        raise PhenoloomError(
            f"The sheet has the shards {', '.join(sorted(expected))}, but the index was given "
            f"{', '.join(path.stem for path in shards) or 'none'}; make each of them once"
        )


def _quarantine_rows(manifests: Sequence[Stated]) -> list[dict[str, str]]:
    return [{"stage": m["stage"], **row} for m in manifests for row in m["quarantine"]]


def _tsv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(QUARANTINE)
    writer.writerows(
        [" ".join(row[name].split()) if name == "reason" else row[name] for name in QUARANTINE] for row in rows
    )
    return text.getvalue().encode()


def _difference(one: pa.Schema, other: pa.Schema) -> str:
    ours, theirs = ({f"{f.name}: {f.type}" for f in schema} for schema in (one, other))
    return ", ".join(sorted(ours ^ theirs)) or "their order"


def _reasons(manifests: Sequence[Stated]) -> str:
    rejected = sum((Counter(m["rejected"]) for m in manifests), Counter[str]())
    return ", ".join(f"{count} x {reason}" for reason, count in rejected.most_common(3)) or "nothing was found"
