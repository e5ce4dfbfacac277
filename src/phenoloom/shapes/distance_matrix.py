"""Distance matrices of contours, and contours from matrices by classical multidimensional scaling.

The matrix D[i, j] = |p_i - p_j| does not depend on where a contour lies or how it is turned. `nets.distance_matrix` has
the same function for tensors; it is apart so that users of arrays do not load torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Differences of one block, in numbers: both coordinates stay in the processor's cache.
_BLOCK = 1 << 16


def distance_matrices(
    contours: NDArray[np.floating[Any]], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the distances between the points of each contour (n, p, p); symmetric, zero on the diagonal.

    They are correct to float32 above 1e-18 px for contours near the origin, unlike |a|^2 + |b|^2 - 2ab, in which close
    points lose all digits.

    Args:
        contours: (n, p, 2).
        out: Where to write, C-contiguous; reusing it saves the time of fresh memory.

    Raises:
        ValueError: `out` has another shape, dtype or layout.
    """
    n, p, _ = contours.shape
    if out is None:
        out = np.empty((n, p, p), np.float32)
    elif out.shape != (n, p, p) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"expected out as C-contiguous {(n, p, p)} float32, found {out.shape} {out.dtype}")
    if out.size == 0:
        return out
    # x_i - x_j as the product [x_i, 1] [1, -x_j]': it is rounded once, like the subtraction, and BLAS is faster at it.
    left, right = np.ones((2, n, p, 2), np.float32), np.ones((2, n, 2, p), np.float32)
    left[..., 0] = np.moveaxis(contours, -1, 0)
    right[:, :, 1] = -left[..., 0]
    many, rows = max(1, _BLOCK // (p * p)), max(1, min(p, _BLOCK // p))
    scratch = np.empty((2, many * rows * p), np.float32)
    for start in range(0, n, many):
        for row in range(0, p, rows):
            block = out[start : start + many, row : row + rows]
            squares = scratch[:, : block.size].reshape(2, *block.shape)
            for axis, square in enumerate(squares):
                some = left[axis, start : start + many, row : row + rows]
                np.matmul(some, right[axis, start : start + many], out=square)
            np.multiply(squares, squares, out=squares)
            np.sqrt(np.add(squares[0], squares[1], out=squares[0]), out=block)
    return out


def classical_mds(matrices: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centred points (n, p, 2) of distance matrices (n, p, p), and the share of each that is not planar (n,).

    Classical multidimensional scaling (Torgerson 1952): B = -1/2 J (D o D) J, points = the two leading eigenvectors
    times the roots of their eigenvalues. The share is that of the other eigenvalues in the sum of all, by magnitude.
    The pose is arbitrary: use `alignment.align` before comparing.
    """
    squared = np.square(matrices, dtype=np.float64)
    rows = squared.mean(axis=2, keepdims=True)
    gram = -0.5 * (squared - rows - np.swapaxes(rows, 1, 2) + rows.mean(axis=1, keepdims=True))
    values, vectors = np.linalg.eigh((gram + np.swapaxes(gram, 1, 2)) / 2)
    two = values[:, :-3:-1]
    points = vectors[:, :, :-3:-1] * np.sqrt(np.maximum(two, 0))[:, None]
    total = np.abs(values).sum(axis=1)
    residual = np.abs(values[:, :-2]).sum(axis=1) / np.where(total > 0, total, 1)
    return points, residual
