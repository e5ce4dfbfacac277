"""Assignment of groups to folds so that every fold has every class, in the study's proportions.

A group is a vector of counts: how many of its units have each class. One class a unit and several (multi-label) are
therefore the same problem, that of iterative stratification (Sechidis et al. 2011) with groups in place of units.
The imbalance of an assignment is the sum over folds, and over classes and all units together, of
(share found in the fold - 1 / folds)^2; 0 is perfect. The largest groups come first, each to the fold where the
imbalance grows least; then groups are moved and swapped while that helps; where a fold still lacks a class, an integer
programme looks for an assignment that has all classes in all folds.
Against Sechidis' rule (rarest class first) and scikit-learn's StratifiedGroupKFold this leaves fewer classes without
support and a smaller imbalance on groups of mixed classes; on groups of one class all three are alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.sparse

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# One class without support in one fold outweighs any imbalance (the imbalance of C classes is below C + 1).
SUPPORT_WEIGHT = 1e6
# Swaps need groups x groups x classes numbers a step; beyond this, moves of the many small groups are enough.
MOST_SWAP_ELEMENTS = 20_000_000
MOST_STEPS = 500
MOST_NODES = 2_000
TOLERANCE = 1e-9


def stratify(counts: Counts, folds: int, seed: int) -> npt.NDArray[np.int16]:
    """Return the fold of each group, int16 (groups,).

    The answer depends on the order of the rows and on the seed, so sort the groups first.

    Args:
        counts: Units of each class in each group (groups, classes); every group has a unit and every class a group.
        folds: Number of folds.
        seed: Decides between groups that are alike.
    """
    assignment = _improve(counts, _largest_first(counts, folds, seed), folds)
    if missing(counts, assignment, folds).any():
        exact = _full_support(counts, folds)
        if exact is not None:
            assignment = _improve(counts, exact, folds)
    return assignment.astype(np.int16)


def missing(counts: Counts, assignment: npt.NDArray[Any], folds: int) -> Counts:
    """Return the number of folds without a unit of each class (classes,)."""
    lacking: Counts = (_sums(counts > 0, assignment, folds) == 0).sum(axis=0)
    return lacking


def _shares(counts: Counts) -> Floats:
    """Return each group's share of every class and, in the last column, of all units (groups, classes + 1)."""
    table = np.column_stack([counts, counts.sum(axis=1)]).astype(np.float64)
    shares: Floats = table / table.sum(axis=0)
    return shares


def _sums(table: npt.NDArray[Any], assignment: npt.NDArray[Any], folds: int) -> npt.NDArray[Any]:
    """Return the sums of the rows of `table` by fold (folds, columns)."""
    return np.stack([table[assignment == fold].sum(axis=0) for fold in range(folds)])


def _largest_first(counts: Counts, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Assign the largest groups first, each where the squared shares grow least; equal groups in random order."""
    shares = _shares(counts)
    shuffled = np.random.default_rng(seed).permutation(len(shares))
    largest_first = shuffled[np.argsort(-(shares**2).sum(axis=1)[shuffled], kind="stable")]
    load = np.zeros((folds, shares.shape[1]))
    assignment = np.zeros(len(shares), np.int64)
    for group in largest_first:
        # |load + share|^2 - |load|^2 differs between folds by 2 load . share only; rounding makes ties exact.
        fold = int(np.argmin(np.round(load @ shares[group], 12)))
        assignment[group] = fold
        load[fold] += shares[group]
    return assignment


def _improve(counts: Counts, assignment: npt.NDArray[np.int64], folds: int) -> npt.NDArray[np.int64]:
    """Take the best single move or swap of groups until none helps: support first, then imbalance."""
    assignment = assignment.copy()
    for _ in range(MOST_STEPS):
        gain, groups, targets = _best_change(counts, assignment, folds)
        if gain > -TOLERANCE:
            break
        assignment[groups] = targets
    return assignment


def _best_change(counts: Counts, assignment: npt.NDArray[np.int64], folds: int) -> tuple[float, list[int], list[int]]:
    """Return the change of the imbalance, the one or two groups that change folds, and their new folds."""
    shares, has = _shares(counts), (counts > 0).astype(np.int64)
    moves = _gains_of_moves(shares, has, assignment, folds)
    group, fold = (int(i) for i in np.unravel_index(moves.argmin(), moves.shape))
    best = float(moves[group, fold])
    if len(counts) * counts.size <= MOST_SWAP_ELEMENTS:
        swaps = _gains_of_swaps(shares, has, assignment, folds)
        one, other = (int(i) for i in np.unravel_index(swaps.argmin(), swaps.shape))
        if swaps[one, other] < best - TOLERANCE:
            return float(swaps[one, other]), [one, other], [int(assignment[other]), int(assignment[one])]
    return best, [group], [fold]


def _gains_of_moves(shares: Floats, has: Counts, assignment: npt.NDArray[np.int64], folds: int) -> Floats:
    """Return the change of the objective if a group moved to a fold (groups, folds); negative is better."""
    load, support = _sums(shares, assignment, folds), _sums(has, assignment, folds)
    here = np.arange(len(shares))
    overlap = shares @ load.T
    gain: Floats = 2 * (overlap - overlap[here, assignment][:, None] + (shares**2).sum(axis=1)[:, None])
    lost = ((support[assignment] == 1) & (has == 1)).sum(axis=1)
    won = has @ (support == 0).T
    gain += SUPPORT_WEIGHT * (lost[:, None] - won)
    gain[here, assignment] = 0
    return gain


def _gains_of_swaps(shares: Floats, has: Counts, assignment: npt.NDArray[np.int64], folds: int) -> Floats:
    """Return the change of the objective if two groups changed places (groups, groups); negative is better."""
    load, support = _sums(shares, assignment, folds), _sums(has, assignment, folds)
    overlap = shares @ load.T
    own = overlap[np.arange(len(shares)), assignment]
    product = shares @ shares.T
    norm = np.diag(product)
    squared = norm[:, None] + norm[None, :] - 2 * product
    # With d = share_h - share_g and folds a (of g), b (of h): |a + d|^2 + |b - d|^2 - |a|^2 - |b|^2.
    crossed = overlap[:, assignment]
    gain: Floats = 2 * (crossed + crossed.T - own[:, None] - own[None, :]) + 2 * squared
    others = support[assignment] - has
    absent = (support[assignment] == 0).sum(axis=1)
    after = ((others[:, None, :] + has[None, :, :]) == 0).sum(axis=2)
    gain += SUPPORT_WEIGHT * (after + after.T - absent[:, None] - absent[None, :])
    gain[assignment[:, None] == assignment[None, :]] = 0
    return gain


def _full_support(counts: Counts, folds: int) -> npt.NDArray[np.int64] | None:
    """Return an assignment with every class in every fold; None where none was found in MOST_NODES nodes.

    Binary x[group, fold]: each group in one fold, each class in each fold at least once. A limit on nodes, not on
    time, keeps the answer the same on a slower machine.
    """
    groups = len(counts)
    one_fold = scipy.sparse.kron(scipy.sparse.eye(groups), np.ones((1, folds)))
    covered = scipy.sparse.kron(scipy.sparse.csr_matrix((counts > 0).T.astype(float)), scipy.sparse.eye(folds))
    found = scipy.optimize.milp(
        c=np.zeros(groups * folds),
        constraints=[
            scipy.optimize.LinearConstraint(one_fold, 1, 1),
            scipy.optimize.LinearConstraint(covered, 1, np.inf),
        ],
        integrality=np.ones(groups * folds),
        bounds=scipy.optimize.Bounds(0, 1),
        options={"node_limit": MOST_NODES},
    )
    if found.x is None:
        return None
    assignment: npt.NDArray[np.int64] = found.x.reshape(groups, folds).argmax(axis=1)
    return assignment
