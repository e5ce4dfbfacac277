"""Reconstructions: inputs and what models decode from them, contours and what their distance matrices give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...shapes.alignment import align, posed
from ...shapes.distance_matrix import classical_mds, distance_matrices
from ..charts.pictures import Gallery, Picture, colours_of, contour_picture, contrast_limits, explain, tile_picture
from ..numbers import amount
from ..results import Results, TrainedModel
from .samples import SampleContours, sample_rows

PAIRS = 8

Floats = NDArray[np.float64]


def model_galleries(models: Sequence[TrainedModel], channels: Sequence[str]) -> list[tuple[str, Gallery]]:
    """Draw the sample reconstructions of the first split of each model that has some.

    Args:
        models: trained models.
        channels: names of the channels of the study.
    """
    first = {one.model: (one, one.reconstructions) for one in reversed(models) if one.reconstructions}
    return [(name, _pairs(*first[name], channels)) for name in sorted(first)]


def _pairs(trained: TrainedModel, reconstructions: Path, channels: Sequence[str]) -> Gallery:
    with np.load(reconstructions, allow_pickle=False) as arrays:
        before, after = arrays["inputs"][:PAIRS].astype(np.float64), arrays["outputs"][:PAIRS].astype(np.float64)
    return _contour_pairs(trained, before, after) if before.ndim == 3 else _tile_pairs(trained, before, after, channels)


def _contour_pairs(trained: TrainedModel, before: Floats, after: Floats) -> Gallery:
    # A model of distance matrices sees neither pose nor start nor direction, so they are not counted as errors.
    pairs = enumerate(zip(before, posed(after, before), strict=True), 1)
    pictures = [_overlaid(a, b, f"Contour {i}") for i, (a, b) in pairs]
    caption = f"{trained.model}, {trained.split}: contours (filled) and their reconstruction from the vector (line)."
    return Gallery(caption, [(f"{trained.model}: input and output", pictures)])


def _tile_pairs(trained: TrainedModel, before: Floats, after: Floats, channels: Sequence[str]) -> Gallery:
    names = list(channels) if len(channels) == before.shape[1] else [f"channel {i}" for i in range(before.shape[1])]
    limits, colours = contrast_limits(before), colours_of(names)
    groups = [
        (
            f"{trained.model}: {word}",
            [tile_picture(t, limits, colours, f"{trained.model} {word} {i + 1}") for i, t in enumerate(tiles)],
        )
        for word, tiles in (("input", before), ("output", after))
    ]
    caption = (
        f"{trained.model}, {trained.split}: tiles as the model sees them, and their reconstruction, both with the "
        "contrast limits of the input."
    )
    return Gallery(caption, groups, explain(names, limits))


def matrix_gallery(results: Results, seed: int) -> Gallery | None:
    """Draw contours with the outlines that classical multidimensional scaling recovers from their distances."""
    contours = SampleContours(results.folder.shapes)
    if results.index is None or not contours:
        return None
    chosen = sample_rows(results.index, 1, seed)
    pictures, residuals = [], []
    for label, rows in list(chosen.items())[:PAIRS]:
        row = rows.iloc[0]
        table = contours.table(str(row["shard"]))
        if table is None or row["id"] not in table.index:
            continue
        contour = contours.read(str(row["shard"]), [int(table.loc[row["id"], "position"])]).astype(np.float64)
        recovered = align(classical_mds(distance_matrices(contour))[0], contour)
        residuals.append(_residual(recovered, contour))
        pictures.append(_overlaid(contour[0], recovered[0], f"Contour {row['id']}, class {label}"))
    if not pictures:
        return None
    caption = (
        f"Contours (filled) and their reconstruction from the distance matrix alone by classical multidimensional "
        f"scaling (line), rotated and reflected onto them. Largest root mean square residual of "
        f"{amount(len(residuals), 'contour')}: {_residual_text(max(residuals))} px."
    )
    return Gallery(caption, [("contours", pictures)])


def _residual_text(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _residual(a: Floats, b: Floats) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(axis=-1).mean()))


def _overlaid(contour: Floats, other: Floats, name: str) -> Picture:
    centred = contour - contour.mean(axis=0), other - other.mean(axis=0)
    return contour_picture(centred, f"{name} and its reconstruction")
