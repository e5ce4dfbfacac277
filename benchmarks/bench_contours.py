"""Trace 2,000 objects in one label image and resample their outlines, compared with the usual alternatives.

Outlines are compared with outlines, resampling with resampling, and both together with both together. Contours are more
than that: they are also in a standard order, centred and measured. All alternatives run in turn in one process; the
results are medians over rounds; `cpu` is processor time, `wall` is elapsed time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import splev, splprep
from skimage.measure import find_contours

from phenoloom.shapes.polygons import resample, standard_contours, without_repeats
from phenoloom.shapes.tracing import trace_labels

Way = Callable[[], object]


def label_image(objects: int, cell: int = 46) -> NDArray[np.int32]:
    """Draw wavy cells of about 115 border pixels each; some touch."""
    rng = np.random.default_rng(0)
    columns = int(np.ceil(np.sqrt(objects)))
    labels = np.zeros((columns * cell, columns * cell), np.int32)
    y, x = np.mgrid[:cell, :cell] - cell // 2
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    for i in range(objects):
        waves = 0.1 * np.cos(3 * angle + rng.uniform(0, 6)) + 0.08 * np.cos(5 * angle + rng.uniform(0, 6))
        inside = radius < 20 * rng.uniform(0.8, 1.1) * (1 + waves)
        top, left = i // columns * cell, i % columns * cell
        labels[top : top + cell, left : left + cell][inside] = i + 1
    return labels


def cropped_find_contours(labels: NDArray[np.int32]) -> list[NDArray[np.float64]]:
    crops = enumerate(ndimage.find_objects(labels), 1)
    return [max(find_contours(np.pad(labels[box] == i, 1).astype(float), 0.5), key=len) for i, box in crops]


def cropped_cv2(labels: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    crops = enumerate(ndimage.find_objects(labels), 1)
    how = cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    return [max(cv2.findContours((labels[box] == i).view(np.uint8), *how)[0], key=len) for i, box in crops]


def interp_loop(outlines: list[NDArray[np.float64]], points: int) -> None:
    for outline in outlines:
        closed = np.vstack([outline, outline[:1]])
        arc = np.append(0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T)))
        at = np.linspace(0, arc[-1], points, endpoint=False)
        np.stack([np.interp(at, arc, closed[:, 0]), np.interp(at, arc, closed[:, 1])], axis=1)


def splines(outlines: list[NDArray[np.float64]], points: int) -> None:
    at = np.linspace(0, 1, points, endpoint=False)
    for outline in outlines:
        splev(at, splprep(np.vstack([outline, outline[:1]]).T, s=0, per=True)[0])


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


def verdict(seconds: dict[str, tuple[float, float]], ours: str, reference: str, target: float) -> None:
    ratio = seconds[reference][0] / seconds[ours][0]
    print(f"target: {ours} >= {target:g} x {reference}: {'met' if ratio >= target else 'NOT MET'} ({ratio:.1f} x)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 9
    cv2.setNumThreads(1)
    labels = label_image(2000)
    polygons = trace_labels(labels).polygons
    some = [polygons[i] for i in range(200)]

    def outlines_resampled(points: int) -> None:
        resample(without_repeats(trace_labels(labels).polygons), points)

    def contours(points: int) -> None:
        standard_contours(without_repeats(trace_labels(labels).polygons), points)

    def find_and_spline(points: int) -> None:
        splines([outline[:-1] for outline in cropped_find_contours(labels)], points)

    reference = "find_contours on crops, not resampled"
    seconds = measure(
        {
            reference: (lambda: cropped_find_contours(labels), 2000),
            "find_contours on crops + splprep to 64 points": (lambda: find_and_spline(64), 2000),
            "find_contours on crops + splprep to 256 points": (lambda: find_and_spline(256), 2000),
            "cv2 on crops, not resampled": (lambda: cropped_cv2(labels), 2000),
            "ours: outlines, not resampled": (lambda: trace_labels(labels), 2000),
            "ours: outlines, resampled to 64 points": (lambda: outlines_resampled(64), 2000),
            "ours: outlines, resampled to 256 points": (lambda: outlines_resampled(256), 2000),
            "ours: contours of 64 points": (lambda: contours(64), 2000),
            "ours: contours of 256 points": (lambda: contours(256), 2000),
        },
        rounds,
    )
    table("2,000 objects of one label image", seconds, reference)
    verdict(seconds, "ours: outlines, not resampled", reference, 8)
    for points in (64, 256):
        verdict(
            seconds,
            f"ours: outlines, resampled to {points} points",
            f"find_contours on crops + splprep to {points} points",
            8,
        )
    for points in (64, 256):
        seconds = measure(
            {
                "splprep, s = 0": (lambda points=points: splines(some, points), 200),  # type: ignore[misc]
                "np.interp in a loop": (lambda points=points: interp_loop(some, points), 200),  # type: ignore[misc]
                "ours: one batch": (lambda points=points: resample(polygons, points), 2000),  # type: ignore[misc]
            },
            rounds,
        )
        table(f"resampling to {points} points", seconds, "splprep, s = 0")
        verdict(seconds, "ours: one batch", "splprep, s = 0", 8)


if __name__ == "__main__":
    main()
