"""Describe the space of a trained encoder of contours for the report.

Shape modes, decoded outlines and their errors, paths between labels, outlines drawn from a prior, and invariances.
`embed` writes them beside the vectors, so that the report only reads. Modes are fitted to rows that the encoder was
trained on; everything else is shown on the test groups, or on all rows where the split has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ..core.atomic import write_atomically
from ..data.sources import StudySource
from ..objectives import Objective
from ..shapes.alignment import mean_outline, posed, reconstruction_errors
from ..splits.split import ALL, TEST, TRAIN
from .invariance import invariance
from .shape_modes import entropy, fit_modes, occupancy

MODES, MEMBERS, FITTED = 12, 200, 10_000
DRAWN = 16
PATHS, STEPS = 4, 7
DECODED, MOVED = 512, 128
LABELS = 24
_BLOCK = 4096

Arrays = dict[str, NDArray[Any]]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class ShapeSpace:
    """An encoder of contours in evaluation mode, and its vectors of the rows of an embedding table.

    Attributes:
        objective: Network of the encoder.
        source: Contours of the rows, of scale 1.
        scale: Sizes of the contours in px (rows,).
        vectors: Vectors of the rows (rows, latent).
        roles: What the encoder knows of each row, such as `train` (rows,).
        labels: Mask (rows,) of the rows of each label that is shown; a row may have several.
    """

    objective: Objective
    source: StudySource
    scale: NDArray[np.float32]
    vectors: NDArray[np.float32]
    roles: NDArray[np.object_]
    labels: Mapping[str, NDArray[np.bool_]]

    @property
    def fitted(self) -> Positions:
        """Positions that anything may be fitted to."""
        return np.flatnonzero(np.isin(self.roles, [TRAIN, ALL]))

    @property
    def shown(self) -> Positions:
        """Positions that the encoder has not seen, or all where it has seen all."""
        return np.flatnonzero(np.isin(self.roles, [TEST, ALL]))

    def outlines(self, rows: Positions) -> NDArray[np.float32]:
        """Return contours (len(rows), points, 2) of scale 1."""
        out = np.empty((len(rows), *self.source.item), np.float32)
        self.source.read(rows, out)
        return out

    @torch.inference_mode()
    def decode(self, vectors: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Return the outlines (n, points, 2) of vectors (n, latent); None where the model has no decoder.

        With them comes the share of the decoded distances that no outline in the plane has (n,).
        """
        found = self.objective.decode(self._tensor(vectors))
        return None if found is None else (found[0].cpu().numpy(), found[1].cpu().numpy())

    @torch.inference_mode()
    def embed(self, contours: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors (n, latent) of contours (n, points, 2) of scale 1."""
        vectors: NDArray[np.float32] = self.objective.embed(self._tensor(contours)).cpu().numpy()
        return vectors

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        device = next(self.objective.parameters()).device
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)


def label_masks(labels: pd.Series) -> dict[str, NDArray[np.bool_]]:
    """Return a mask (rows,) for each of the most common labels: the rows that have it.

    Args:
        labels: Label of each row: a text, several texts or nothing.
    """
    one = labels.reset_index(drop=True).explode().dropna()
    counts = one.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    masks = {}
    for name in counts.index[:LABELS]:
        masks[str(name)] = np.zeros(len(labels), bool)
        masks[str(name)][one.index[one == name]] = True
    return masks


def write_shape_space(path: Path, space: ShapeSpace, seed: int) -> None:
    """Write the arrays of `describe_shape_space`, atomically; no file where no row has an outline to show.

    Args:
        path: The file (`.npz`).
        space: The encoder and its vectors.
        seed: Seed of all choices.
    """
    arrays = describe_shape_space(space, seed)
    if arrays:
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def describe_shape_space(space: ShapeSpace, seed: int) -> Arrays:
    """Return the arrays of everything that is shown; without a decoder, those of decoded outlines are left out.

    The same on any number of threads. Memory does not grow with the number of rows.

    Args:
        space: The encoder and its vectors.
        seed: Seed of all choices.
    """
    if not len(space.fitted) or not len(space.shown):
        return {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rng = np.random.default_rng(seed)
        arrays = _modes(space, rng, seed) | _invariance(space, rng, seed)
        return arrays | _reconstructions(space, rng) | _paths(space) | _drawn(space, seed)
    finally:
        torch.set_num_threads(threads)


def _modes(space: ShapeSpace, rng: np.random.Generator, seed: int) -> Arrays:
    """Clusters of the fitted rows: mean outlines, decoded centres, and the labels of the shown rows in each."""
    fitted = _some(space.fitted, FITTED, rng)
    modes = fit_modes(space.vectors[fitted], min(MODES, 2 + len(fitted) // 10), seed)
    of, far = modes.of(space.vectors[fitted])
    means = []
    for mode in range(len(modes.centres)):
        members = fitted[of == mode][np.argsort(far[of == mode], kind="stable")]
        # The nearest to the centre first; of many, those at equal steps from it outwards.
        chosen = members[np.unique(np.linspace(0, len(members) - 1, MEMBERS).astype(int))]
        means.append(mean_outline(space.outlines(chosen)))
    shown = space.shown
    # A block at a time: the vectors of a large study stay on the disk.
    blocks = [modes.of(space.vectors[shown[i : i + _BLOCK]]) for i in range(0, len(shown), _BLOCK)]
    here, distance = (np.concatenate(part) for part in zip(*blocks, strict=True))
    labels = _most_common(space)
    shares = occupancy(here, [space.labels[name][shown] for name in labels], len(means))
    arrays: Arrays = {
        "mode_outlines": np.array(means, np.float32),
        "mode_rows": np.bincount(of, minlength=len(means)),
        "mode_fit": np.array([np.median(far), np.median(distance)]),
        "mode_labels": np.array(labels, np.str_),
        "mode_label_rows": np.array([int(space.labels[name][shown].sum()) for name in labels], np.int64),
        "mode_occupancy": shares,
        "mode_entropy": entropy(shares),
    }
    decoded = space.decode(modes.centres)
    if decoded is not None:
        outlines, outside = decoded
        arrays |= {"mode_decoded": posed(outlines, np.array(means)).astype(np.float32), "mode_outside": outside}
    return arrays


def _invariance(space: ShapeSpace, rng: np.random.Generator, seed: int) -> Arrays:
    rows = _some(space.shown, MOVED, rng)
    contours = space.outlines(rows) * space.scale[rows][:, None, None]
    if len(np.unique(space.vectors[rows], axis=0)) < 2:
        return {}
    moved = invariance(space.embed, contours, seed)
    return {
        "invariance_changes": np.array([one.change for one in moved], np.str_),
        "invariance_moved": np.array([(one.median, one.most) for one in moved]),
    }


def _reconstructions(space: ShapeSpace, rng: np.random.Generator) -> Arrays:
    """Errors of decoded outlines as a share of the diameter, and how far their matrices are from the plane."""
    rows = _some(space.shown, DECODED, rng)
    decoded = space.decode(space.vectors[rows])
    if decoded is None:
        return {}
    outlines, outside = decoded
    return {"decoded_errors": reconstruction_errors(outlines, space.outlines(rows)), "decoded_outside": outside}


def _paths(space: ShapeSpace) -> Arrays:
    """Decoded points of the straight lines between a typical object of each label and of the next label."""
    labels = _most_common(space)[: PATHS + 1]
    if len(labels) < 2:
        return {}
    rows = np.array([_typical(space, space.labels[name]) for name in labels])
    ends = np.stack([rows[:-1], rows[1:]], axis=1)
    share = np.linspace(0, 1, STEPS)[:, None]
    outlines, outside = [], []
    for first, last in ends:
        decoded = space.decode((1 - share) * space.vectors[first] + share * space.vectors[last])
        if decoded is None:
            return {}
        outlines.append(_following(decoded[0], space.outlines(np.array([first]))[0]))
        outside.append(decoded[1])
    truth = space.outlines(ends.ravel()).reshape(len(ends), 2, *space.source.item)
    for i, path in enumerate(outlines):
        truth[i] = posed(truth[i], path[[0, -1]])
    return {
        "path_outlines": np.array(outlines, np.float32),
        "path_outside": np.array(outside),
        "path_ends": truth,
        "path_labels": np.array([labels[:-1], labels[1:]], np.str_).T,
    }


def _drawn(space: ShapeSpace, seed: int) -> Arrays:
    """Decoded outlines of vectors that are drawn from the prior, where the encoder has one."""
    vectors = space.objective.draw(DRAWN, torch.Generator().manual_seed(seed))
    decoded = None if vectors is None else space.decode(vectors.numpy())
    if decoded is None:
        return {}
    return {"drawn_outlines": decoded[0], "drawn_outside": decoded[1]}


def _following(outlines: NDArray[np.float32], first: NDArray[np.float32]) -> NDArray[np.float64]:
    """Outlines (k, n, 2), the first in the pose of an outline (n, 2), each other one in the pose of its predecessor."""
    found = [posed(outlines[:1], first[None])[0]]
    for outline in outlines[1:]:
        found.append(posed(outline[None], found[-1][None])[0])
    return np.array(found)


def _typical(space: ShapeSpace, rows: NDArray[np.bool_]) -> int:
    """Position of the row that is nearest to the mean of all shown rows with a label; of many rows, some are used."""
    members = space.shown[rows[space.shown]]
    members = members[:: -(-len(members) // FITTED)]
    vectors = space.vectors[members].astype(np.float64)
    return int(members[np.square(vectors - vectors.mean(axis=0)).sum(axis=1).argmin()])


def _most_common(space: ShapeSpace) -> list[str]:
    """Labels of the shown rows, the most common first."""
    counts = {name: int(rows[space.shown].sum()) for name, rows in space.labels.items()}
    return sorted((name for name in counts if counts[name]), key=lambda name: (-counts[name], name))


def _some(rows: Positions, most: int, rng: np.random.Generator) -> Positions:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
