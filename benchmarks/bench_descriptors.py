"""Compute classical descriptors of contours of 64 points, compared with the usual alternatives.

All alternatives run in turn in one process; the results are medians over rounds; `cpu` is processor time, `wall` is
elapsed time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from skimage.measure import regionprops_table

from phenoloom.shapes.descriptors import DESCRIPTORS

Way = Callable[[], object]
PROPERTIES = (
    "area", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity", "solidity", "extent",
    "feret_diameter_max", "area_convex", "equivalent_diameter_area", "moments_hu",
)  # fmt: skip


def outlines(n: int, points: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(points) / points
    waves = (rng.normal(size=(n, 1)) / k * np.cos(k * angle + rng.uniform(0, 6, (n, 1))) for k in range(2, 8))
    radius = 15 + 1.5 * sum(waves)
    return np.stack([1.3 * radius * np.cos(angle), radius * np.sin(angle)], axis=2)


def label_image(contours: np.ndarray, cell: int = 64) -> np.ndarray:
    columns = int(np.ceil(np.sqrt(len(contours))))
    labels = np.zeros((columns * cell, columns * cell), np.int32)
    for i, contour in enumerate(contours):
        at = np.array([i % columns, i // columns]) * cell + cell // 2
        cv2.fillPoly(labels, [np.round(contour + at).astype(np.int32)], i + 1)
    return labels


def distance_spectra_one_by_one(contours: np.ndarray) -> list[np.ndarray]:
    i = np.arange(contours.shape[1])
    spectra = []
    for contour in contours:
        matrix = np.linalg.norm(contour[:, None] - contour, axis=2)
        matrix /= np.linalg.norm(matrix)
        cyclic = np.stack([matrix[i, (i + k) % len(i)] for k in range(1, len(i) // 2 + 1)], axis=1)
        spectra.append(np.abs(np.fft.rfft(cyclic, axis=0))[:12])
    return spectra


def measure(ways: dict[str, tuple[Way, int]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median processor and wall seconds an object of each way, interleaved."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, objects) in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            times[name].append(((time.process_time() - cpu) / objects, (time.perf_counter() - wall) / objects))
    return {n: tuple(statistics.median(column) for column in zip(*t, strict=True)) for n, t in times.items()}  # type: ignore[misc]


def table(title: str, seconds: dict[str, tuple[float, float]], reference: str) -> None:
    print(f"\n{title}\n{'':52}{'objects/CPU-s':>14}{'x cpu':>8}{'x wall':>8}")
    for name, (cpu, wall) in seconds.items():
        print(f"{name:52}{1 / cpu:14,.0f}{seconds[reference][0] / cpu:8.2f}{seconds[reference][1] / wall:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 9
    contours = outlines(1000, 64)
    labels = label_image(contours[:200])
    pixels = "skimage regionprops_table, the same properties"
    seconds = measure(
        {
            pixels: (lambda: regionprops_table(labels, properties=PROPERTIES), 200),
            "ours: from contours": (lambda: DESCRIPTORS["regionprops"].compute(contours), 1000),
        },
        rounds,
    )
    table("region properties", seconds, pixels)

    one_by_one = "numpy one by one"
    seconds = measure(
        {
            one_by_one: (lambda: distance_spectra_one_by_one(contours[:200]), 200),
            "ours: batched": (lambda: DESCRIPTORS["distance-spectrum"].compute(contours), 1000),
        },
        rounds,
    )
    table("distance spectrum", seconds, one_by_one)

    sets = {name: (lambda made=made: made.compute(contours), 1000) for name, made in DESCRIPTORS.items()}  # type: ignore[misc]
    table("sets of descriptors", measure(sets, rounds), "efd")


if __name__ == "__main__":
    main()
