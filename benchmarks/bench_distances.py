"""Compute distance matrices of contours of 256 points, and points from matrices, against the usual alternatives.

All alternatives run in turn in one process on one thread; the results are medians over rounds. Matrices are dropped or
overwritten after each batch, as in training. `cpu` is processor time, `wall` is elapsed time.

A matrix needs a square root for every entry, and roots are the slowest arithmetic of a processor: `limit` computes as
many, compiled by torch, and stores nothing. `cyclic-resnet` trains on the cyclic form (`nets/cyclic_form.py`), which
has each distance once and needs half as many. Matrices that are stored once and copied need none, but 128 times the
memory of the contours.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.manifold import MDS
from sklearn.metrics import euclidean_distances

from phenoloom.nets.cyclic_form import cyclic_form
from phenoloom.nets.distance_matrix import distance_matrices_torch
from phenoloom.shapes.alignment import align
from phenoloom.shapes.distance_matrix import classical_mds, distance_matrices
from phenoloom.shapes.store import ArrayWriter

Way = Callable[[], object]
POINTS, BATCH, LARGE_BATCH, CYCLIC_BATCH = 256, 8, 32, 16
ROOTS, TRAINED, CYCLIC = (
    "limit: a root of every entry, torch.compile",
    "ours: cyclic form, as in training",
    "ours: cyclic form, torch.compile",
)


def outlines(n: int, points: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(points) / points
    waves = (rng.normal(size=(n, 1)) / k * np.cos(k * angle + rng.uniform(0, 6, (n, 1))) for k in range(2, 8))
    radius = 20 + 2 * sum(waves)
    return np.stack([1.4 * radius * np.cos(angle), radius * np.sin(angle)], axis=2).astype(np.float32)


def each(way: Callable[[Any], object], items: Iterable[Any]) -> Way:
    """`way` of each item, one after the other; results are dropped at once."""

    def run() -> None:
        for item in items:
            way(item)

    return run


def measure(ways: dict[str, tuple[Way, int]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median processor and wall seconds a contour of each way, interleaved."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, contours) in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            times[name].append(((time.process_time() - cpu) / contours, (time.perf_counter() - wall) / contours))
    return {n: tuple(statistics.median(column) for column in zip(*t, strict=True)) for n, t in times.items()}  # type: ignore[misc]


def table(title: str, seconds: dict[str, tuple[float, float]], reference: str) -> None:
    print(f"\n{title}\n{'':52}{'contours/CPU-s':>15}{'x cpu':>8}{'x wall':>8}")
    for name, (cpu, wall) in seconds.items():
        print(f"{name:52}{1 / cpu:15,.0f}{seconds[reference][0] / cpu:8.2f}{seconds[reference][1] / wall:8.2f}")


def verdict(seconds: dict[str, tuple[float, float]], ours: str, reference: str, target: float) -> None:
    ratio = seconds[reference][0] / seconds[ours][0]
    print(f"target: {ours} >= {target:g} x {reference}: {'met' if ratio >= target else 'NOT MET'} ({ratio:.1f} x)")


def error(matrices: np.ndarray, contours: np.ndarray) -> float:
    """Largest relative error of distances that are not zero."""
    exact = np.stack([cdist(c, c) for c in contours.astype(np.float64)])
    apart = exact > 0
    return float((np.abs(matrices - exact)[apart] / exact[apart]).max())


def roots(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a[:, None] + b).sqrt().sum()


def matrices(rounds: int) -> None:
    # Results are dropped, as a training step drops them after use.
    n = 9984 if rounds > 3 else 384
    contours = outlines(n, POINTS)
    double, tensor = contours.astype(np.float64), torch.from_numpy(contours)
    out = np.empty((BATCH, POINTS, POINTS), np.float32)
    cyclic, only_roots = torch.compile(cyclic_form, dynamic=True), torch.compile(roots)
    a, b = torch.rand(POINTS * LARGE_BATCH), torch.rand(POINTS)
    reference = "sklearn euclidean_distances one by one, float64"
    seconds = measure(
        {
            reference: (each(euclidean_distances, double[:100]), 100),
            "sklearn euclidean_distances one by one, float32": (each(euclidean_distances, contours[:100]), 100),
            "scipy pdist + squareform": (each(lambda c: squareform(pdist(c)), double[:100]), 100),
            "scipy cdist": (each(lambda c: cdist(c, c), double[:100]), 100),
            "numpy broadcast + norm": (each(lambda c: np.linalg.norm(c[:, None] - c, axis=2), double[:40]), 40),
            "torch.cdist in batches": (each(lambda c: torch.cdist(c, c), tensor.split(BATCH)), n),
            "ours: numpy": (each(lambda c: distance_matrices(c, out), np.split(contours, n // BATCH)), n),
            "ours: torch": (each(distance_matrices_torch, tensor.split(BATCH)), n),
            ROOTS: (each(lambda _: only_roots(a, b), range(20)), 20 * LARGE_BATCH),
            TRAINED: (each(cyclic_form, tensor.split(CYCLIC_BATCH)), n),
            CYCLIC: (each(cyclic, tensor.split(CYCLIC_BATCH)), n),
        },
        rounds,
    )
    table("distance matrices of 256 points", seconds, reference)
    far = contours[:20] + 1000
    print(
        f"largest relative error: ours {error(distance_matrices(contours[:20]), contours[:20]):.1e}, "
        "torch.cdist 1,000 px from the origin "
        f"{error(torch.cdist(torch.from_numpy(far), torch.from_numpy(far)).numpy(), far):.1e}"
    )
    verdict(seconds, "ours: numpy", reference, 8)
    verdict(seconds, CYCLIC, reference, 50)
    (root, _), (ours, _) = seconds[ROOTS], seconds[CYCLIC]
    print(f"{ROOTS}: {seconds[reference][0] / root:.1f} x {reference}; {CYCLIC} reaches {root / ours:.2f} of it")


def stored(rounds: int) -> None:
    """Batches in random order, as in training: computed from contours, or copied from matrices stored before."""
    n = 1024 if rounds > 3 else 256
    contours = outlines(n, POINTS)
    tensor, order = torch.from_numpy(contours), np.random.default_rng(1).permutation(n)
    held = distance_matrices(contours)
    batches = np.split(order, n // LARGE_BATCH)
    out = np.empty((LARGE_BATCH, POINTS, POINTS), np.float32)
    cyclic = torch.compile(cyclic_form, dynamic=True)
    with tempfile.TemporaryDirectory() as folder:
        writer = ArrayWriter(Path(folder) / "0000.zarr", "distances", (POINTS, POINTS), {})
        writer.append(held)
        writer.close()
        array = zarr.open_array(Path(folder) / "0000.zarr" / "distances", mode="r")
        reference = "stored: copied from memory"
        seconds = measure(
            {
                reference: (each(lambda rows: np.take(held, rows, axis=0, out=out), batches), n),
                "stored: read from Zarr": (each(lambda rows: array.oindex[np.sort(rows)], batches[:2]), 2 * len(out)),
                "ours: numpy": (each(lambda rows: distance_matrices(contours[rows], out), batches), n),
                TRAINED: (each(lambda rows: cyclic_form(tensor[rows]), batches), n),
                CYCLIC: (each(lambda rows: cyclic(tensor[rows]), batches), n),
            },
            rounds,
        )
    table(
        f"batches of matrices of 256 points in random order; held in memory they take {held.nbytes >> 20} MiB",
        seconds,
        reference,
    )
    verdict(seconds, TRAINED, reference, 1)


def scaling(rounds: int) -> None:
    contours = outlines(50, 64).astype(np.float64)
    all_matrices = np.stack([cdist(c, c) for c in contours])

    def smacof() -> list[np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                MDS(metric="precomputed", n_init=1, init="random", random_state=0).fit_transform(m)
                for m in all_matrices[:3]
            ]

    reference = "sklearn MDS (SMACOF), one start"
    seconds = measure({reference: (smacof, 3), "ours: eigenvectors": (lambda: classical_mds(all_matrices), 50)}, rounds)
    table("64 points from their distance matrix", seconds, reference)
    ours = align(classical_mds(all_matrices)[0], contours) - contours
    theirs = align(np.stack(smacof()), contours[:3]) - contours[:3]
    print(f"largest error, px: ours {np.abs(ours).max():.1e}, SMACOF {np.abs(theirs).max():.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 9
    torch.set_num_threads(1)
    matrices(rounds)
    stored(rounds)
    scaling(rounds)


if __name__ == "__main__":
    main()
