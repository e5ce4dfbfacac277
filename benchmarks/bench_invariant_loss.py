"""Compute the index-invariant loss of distance matrices, forward and backward, against trying every start.

All alternatives run in turn in one process on one thread; the results are medians over rounds. Peak memory is that of a
process that does nothing else, above what it held before its first loss, for one contour. The losses and gradients of
all alternatives are compared before anything is measured.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from phenoloom.nets.cyclic_form import cyclic_form
from phenoloom.nets.distance_matrix import distance_matrices_torch
from phenoloom.objectives.start_invariant_loss import start_invariant_loss

TARGET = 100
BATCH = 4


def ours(decoded: Tensor, target: Tensor) -> Tensor:
    """From points to the loss (b,)."""
    return start_invariant_loss(cyclic_form(decoded), cyclic_form(target))


def all_starts_at_once(decoded: Tensor, target: Tensor) -> Tensor:
    """As published: every rolled and flipped target in one tensor, differences of all of them, then the least."""
    matrix, other = distance_matrices_torch(decoded), distance_matrices_torch(target)
    n = other.shape[1]
    rolled = torch.stack([flipped.roll((s, s), (1, 2)) for flipped in (other, other.flip(1, 2)) for s in range(n)], 1)
    return (matrix[:, None] - rolled).square().mean((2, 3)).amin(1)


def one_start_after_the_other(decoded: Tensor, target: Tensor) -> Tensor:
    """Every start tried without gradients, then the best one with them: O(n^2) memory, O(n^3) time."""
    matrix, other = distance_matrices_torch(decoded), distance_matrices_torch(target)
    best = torch.full((len(other),), torch.inf)
    chosen = torch.empty_like(other)
    with torch.no_grad():
        for flipped in (other, other.flip(1, 2)):
            for start in range(other.shape[1]):
                rolled = flipped.roll((start, start), (1, 2))
                error = (matrix - rolled).square().mean((1, 2))
                better = error < best
                best, chosen = torch.where(better, error, best), torch.where(better[:, None, None], rolled, chosen)
    return (matrix - chosen).square().mean((1, 2))


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "all starts at once (as published)": all_starts_at_once,
    "one start after the other": one_start_after_the_other,
    "ours: by FFT": ours,
}


def contours(points: int, batch: int, seed: int) -> Tensor:
    return torch.randn(batch, points, 2, generator=torch.Generator().manual_seed(seed))


def step(way: Callable[[Tensor, Tensor], Tensor], decoded: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient."""
    decoded = decoded.detach().requires_grad_()
    loss = way(decoded, target)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert decoded.grad is not None
    return loss.detach(), decoded.grad


def seconds(points: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median processor and wall seconds of each way, interleaved."""
    decoded, target = contours(points, BATCH, 1), contours(points, BATCH, 2)
    loss, gradient = step(all_starts_at_once, decoded, target)
    for way in WAYS.values():
        other_loss, other_gradient = step(way, decoded, target)
        torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=0)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-3, atol=1e-6)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            cpu, wall = time.process_time(), time.perf_counter()
            step(way, decoded, target)
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in times.items()}


def held() -> int:
    """Peak resident bytes of this process since the last reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def peak(name: str, points: int, batch: int) -> float:
    """Peak bytes a contour of one step, in a process of its own."""
    command = [sys.executable, __file__, "--peak", name, str(points), str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(name: str, points: int, batch: int) -> None:
    # The libraries of a first small step are no cost of a contour.
    step(WAYS[name], contours(8, 1, 1), contours(8, 1, 2))
    decoded, target = contours(points, batch, 1), contours(points, batch, 2)
    Path("/proc/self/clear_refs").write_text("5")
    before = held()
    step(WAYS[name], decoded, target)
    print((held() - before) / batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak:
        print_peak(arguments.peak[0], int(arguments.peak[1]), int(arguments.peak[2]))
        return
    reference, mine = next(iter(WAYS)), list(WAYS)[-1]
    for points in (128,) if arguments.quick else (64, 128, 256):
        found = seconds(points, 3 if arguments.quick else 9)
        # Many contours, so that what a contour needs stands out from what the libraries need.
        peaks = {name: peak(name, points, BATCH if name == reference else 64) for name in WAYS}
        print(
            f"\n{points} points, batch {BATCH}, forward and backward\n{'':36}{'CPU ms':>9}{'x cpu':>8}{'x wall':>8}",
            end="",
        )
        print(f"{'MB a contour':>14}{'matrices':>10}")
        for name, (cpu, wall) in found.items():
            print(
                f"{name:36}{cpu * 1e3:9.2f}{found[reference][0] / cpu:8.1f}{found[reference][1] / wall:8.1f}"
                f"{peaks[name] / 1e6:14.2f}{peaks[name] / (4 * points**2):10.1f}"
            )
        if points == 128:
            ratio = found[reference][0] / found[mine][0]
            print(
                f"target: {mine} >= {TARGET} x {reference}: {'met' if ratio >= TARGET else 'NOT MET'} ({ratio:.0f} x)"
            )


if __name__ == "__main__":
    main()
