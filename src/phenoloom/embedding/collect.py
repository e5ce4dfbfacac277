"""Collect all vectors of a study in one AnnData file, with the two-dimensional maps that the report shows.

`obs` has a row for each tile or contour that any representation has, with its unit, group and fold. `obsm` holds
`<representation>.<split>` (float32, NaN where the representation lacks the row) and `<representation>.map` (two
columns, NaN for rows that are not on the map). `X` is left out: no representation is the study's own.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ..artifacts.parquet import read_result, read_result_schema
from ..artifacts.provenance import Provenance
from ..core.atomic import atomic_path
from ..core.errors import PhenoloomError
from ..splits.split import Split
from .table import PREFIX, read_embedding

Floats = npt.NDArray[np.float32]

OBS = ("image", "plate", "well", "field", "object", "label", "group", "unit", "fold")
COMPONENTS = 50
# The divergence is then within 5 % of its value after the default 1,000, in half the time (measured with 700 outlines
# and with random clusters).
ITERATIONS = 400
PERPLEXITY = 30.0
# Fewer points have no neighbourhoods to keep: their map is the plane of the first two components.
LEAST_POINTS = 12


@dataclass(frozen=True)
class Map:
    """Settings of the two-dimensional maps.

    Attributes:
        points: Number of rows at most.
        seed: Seed by which rows are chosen and t-SNE draws.
    """

    points: int
    seed: int


def collect(
    representations: Sequence[str], tables: Sequence[Path], folds: Path, layout: Map, output: Path, made_by: Provenance
) -> None:
    """Write the finished set as AnnData; the vectors of one split are in memory at a time.

    A map is made from the first split of a representation: t-SNE of at most `layout.points` rows, the same rows for all
    representations that have them.

    Args:
        representations: Names of the representations, in the order of the study.
        tables: Their embedding tables, each `<representation>/<split>.parquet`.
        folds: `folds.parquet` of the study.
        layout: How maps are made.
        output: The AnnData file (`.h5ad`).
        made_by: Provenance of the file.

    Raises:
        PhenoloomError: The tables are not those of the representations, or a table has a row twice.
        OSError: The disk has less free space than the file needs.
    """
    files = _by_representation(representations, tables)
    obs = _obs([path for paths in files.values() for path in paths], Split.read(folds), made_by.study)
    order = np.random.default_rng(layout.seed).permutation(len(obs))
    card: dict[str, Any] = {"study": made_by.study, **made_by.record(), "maps": {}, "splits": {}}
    maps: dict[str, Floats] = {}
    _refuse_full_disk(files, len(obs), output)
    with atomic_path(output) as temporary:
        anndata.AnnData(obs=obs).write_h5ad(temporary)
        with h5py.File(temporary, "r+") as file:
            for name, paths in files.items():
                for path in paths:
                    vectors = _aligned(name, path, obs.index)
                    anndata.io.write_elem(file["obsm"], f"{name}.{path.stem}", vectors)
                    if path == paths[0]:
                        maps[name], card["maps"][name] = _map(vectors, order, layout)
                        card["maps"][name]["split"] = path.stem
                anndata.io.write_elem(file["obsm"], f"{name}.map", maps[name])
                card["splits"][name] = [path.stem for path in paths]
            anndata.io.write_elem(file, "uns", card)


def _by_representation(representations: Sequence[str], tables: Sequence[Path]) -> dict[str, list[Path]]:
    """The tables of each representation, sorted; refuses missing and foreign ones."""
    found = {name: sorted(path for path in tables if path.parent.name == name) for name in representations}
    if not all(found.values()) or sum(map(len, found.values())) < len(tables):
        raise PhenoloomError(
            f"Embeddings of {', '.join(representations)} are expected, each <representation>/<split>.parquet, found "
            f"{', '.join(map(str, tables)) or 'none'}"
        )
    return found


def _refuse_full_disk(files: dict[str, list[Path]], rows: int, output: Path) -> None:
    """Refuse a disk without the space for the file: on a full disk HDF5 would end the process."""
    features = sum(
        sum(not name.startswith(PREFIX) for name in read_result_schema(path).names)
        for paths in files.values()
        for path in paths
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(output.parent).free < 4 * rows * features:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(output))


def project(vectors: Floats, seed: int) -> tuple[Floats, str]:
    """Return a two-dimensional map (points, 2), and its method: t-SNE (van der Maaten & Hinton 2008) or PCA.

    Features are standardised first, and t-SNE starts from the first two components. One thread: sums in another order
    would give another map. Few points and single features are mapped by PCA.

    Args:
        vectors: The vectors (points, features).
        seed: Seed of t-SNE.
    """
    with threadpool_limits(limits=1):
        scaled = StandardScaler().fit_transform(vectors)
        if not scaled.any():
            # Equal vectors (a collapsed encoder) have no direction to lay out.
            return np.zeros((len(vectors), 2), np.float32), "PCA"
        components = PCA(min(COMPONENTS, *scaled.shape), svd_solver="full").fit_transform(scaled)
        if len(vectors) < LEAST_POINTS or components.shape[1] < 2:
            return np.pad(components[:, :2], ((0, 0), (0, max(0, 2 - components.shape[1])))).astype(np.float32), "PCA"
        perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
        tsne = TSNE(init="pca", perplexity=perplexity, max_iter=ITERATIONS, random_state=seed, n_jobs=1)
        return tsne.fit_transform(components).astype(np.float32), "t-SNE"


def _map(vectors: Floats, order: npt.NDArray[np.int64], layout: Map) -> tuple[Floats, dict[str, Any]]:
    present = ~np.isnan(vectors[:, 0])
    chosen = np.sort(order[present[order]][: layout.points])
    found = np.full((len(vectors), 2), np.nan, np.float32)
    found[chosen], method = project(vectors[chosen], layout.seed)
    return found, {"method": method, "points": len(chosen)}


def _aligned(name: str, path: Path, rows: pd.Index[str]) -> Floats:
    """Vectors of `path` in the order of `rows`, NaN where it has none (rows, features)."""
    embedding = read_embedding(path, name)
    aligned = np.full((len(rows), embedding.vectors.shape[1]), np.nan, np.float32)
    aligned[rows.get_indexer(pd.Index(embedding.rows["id"]))] = embedding.vectors
    return aligned


def _obs(paths: list[Path], split: Split, study: str) -> pd.DataFrame:
    """Metadata of every row that any file has, in the order of first appearance, which is that of the index."""
    wanted = [f"{PREFIX}{name}" for name in ("id", "image", "plate", "well", "field", "object", "label")]
    tables = (read_result(path, columns=wanted).to_pandas(ignore_metadata=True) for path in paths)
    rows = pd.DataFrame(columns=wanted)
    for table in tables:
        new = table[~table[wanted[0]].isin(rows[wanted[0]])]
        rows = pd.concat([rows, new], ignore_index=True) if len(rows) else new
    rows.columns = rows.columns.str.removeprefix(PREFIX)
    if rows["id"].duplicated().any():
        raise PhenoloomError(
            f"Study {study}: row {rows.loc[rows['id'].duplicated(), 'id'].iloc[0]!r} is embedded twice in one "
            "file; delete the embeddings and rerun `embed`"
        )
    named = rows.rename(columns={"image": "image_id"})
    rows["unit"], rows["group"] = split.units_of(named), split.groups_of(named)
    rows["fold"] = split.folds_of(named)
    rows["object"] = rows["object"].fillna(-1).astype(np.int32)
    if split.facts["multi_label"]:
        rows["label"] = rows["label"].map(lambda names: None if names is None else "; ".join(names))
    texts = [name for name in OBS if name not in {"object", "fold"}]
    rows[texts] = rows[texts].astype("category")
    return rows.set_index("id")[list(OBS)]
