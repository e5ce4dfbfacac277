"""What a model gives back of its input, and what a distance matrix gives back of its contour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...shapes.alignment import align, posed
from ...shapes.distance_matrix import classical_mds, distance_matrices
from ..charts.pictures import Gallery, Picture, colours_of, contour_picture, contrast_limits, explain, tile_picture
from ..numbers import amount
from ..results import Results, Run
from .samples import Shapes, sample_rows

PAIRS = 8


def model_gallery(runs: Sequence[Run], channels: Sequence[str]) -> list[tuple[str, Gallery]]:
    """For each model with sample reconstructions, those of its first split."""
    first = {run.model: run for run in reversed(runs) if run.reconstructions}
    return [(model, _model_pairs(first[model], channels)) for model in sorted(first)]


def _model_pairs(run: Run, channels: Sequence[str]) -> Gallery:
    assert run.reconstructions is not None
    with np.load(run.reconstructions, allow_pickle=False) as arrays:
        before, after = arrays["inputs"][:PAIRS].astype(np.float64), arrays["outputs"][:PAIRS].astype(np.float64)
    if before.ndim == 3:
        # A model of distance matrices knows neither pose nor start nor direction, so none of them is its error.
        pairs = enumerate(zip(before, posed(after, before), strict=True), 1)
        pictures = [_overlaid(a, b, f"Contour {i}") for i, (a, b) in pairs]
        caption = f"{run.model}, {run.split}: contours (filled) and what the model decodes from their vectors (line)."
        return Gallery(caption, [(f"{run.model}: input and output", pictures)])
    names = list(channels) if len(channels) == before.shape[1] else [f"channel {i}" for i in range(before.shape[1])]
    limits, colours = contrast_limits(before), colours_of(names)
    groups = [
        (
            f"{run.model}: {word}",
            [tile_picture(t, limits, colours, f"{run.model} {word} {i + 1}") for i, t in enumerate(tiles)],
        )
        for word, tiles in (("input", before), ("output", after))
    ]
    caption = f"{run.model}, {run.split}: tiles as the model sees them, and what it decodes, with the input's limits."
    return Gallery(caption, groups, explain(names, limits))


def matrix_gallery(results: Results, seed: int) -> Gallery | None:
    """Contours beside the outlines that classical multidimensional scaling recovers from their distance matrices."""
    stores = results.stores("shapes")
    if results.index is None or not stores:
        return None
    shapes = Shapes(stores)
    chosen = sample_rows(results.index, 1, seed)
    pictures, residuals = [], []
    for label, rows in list(chosen.items())[:PAIRS]:
        row = rows.iloc[0]
        table = shapes.table(str(row["shard"]))
        if table is None or row["id"] not in table.index:
            continue
        contour = shapes.contours(str(row["shard"]), [int(table.loc[row["id"], "position"])]).astype(np.float64)
        recovered = align(classical_mds(distance_matrices(contour))[0], contour)
        residuals.append(_residual(recovered, contour))
        pictures.append(_overlaid(contour[0], recovered[0], f"Contour {row['id']}, class {label}"))
    if not pictures:
        return None
    caption = (
        f"Contours (filled) and their reconstruction from the distance matrix alone by classical multidimensional "
        f"scaling (line), rotated and reflected onto them: largest root mean square residual of "
        f"{amount(len(residuals), 'contour')} {_tiny(max(residuals))} px."
    )
    return Gallery(caption, [("contour and matrix", pictures)])


def _tiny(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _residual(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(axis=-1).mean()))


def _overlaid(contour: NDArray[np.float64], other: NDArray[np.float64], name: str) -> Picture:
    centred = contour - contour.mean(axis=0), other - other.mean(axis=0)
    return contour_picture(centred, f"{name} and its reconstruction")
