"""Positive pairs by what a study knows about its items, and batches in which partners meet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core.errors import PhenoloomError
from ..data.loader import Rows

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "replicates": ("group", ("plate", "well")),
    "wells": ("well", ("plate",)),
    "labels": ("label", ("id",)),
}
"""Kind of pair -> column that says what an item is, and columns that say where it was found."""


def pair_keys(table: pd.DataFrame, kind: str) -> NDArray[np.int64]:
    """Return keys (rows, 2): a number of what each item is, and one of where it was found.

    Unknown values are equal to no other.

    Args:
        table: Rows of the index.
        kind: Kind of pair, a key of `KINDS`.

    Raises:
        PhenoloomError: No two items of the table belong together.
    """
    column, places = KINDS[kind]
    what = pd.factorize(table[column].map(_comparable), sort=True)[0].astype(np.int64)
    where = pd.MultiIndex.from_frame(table[list(places)].astype(object).fillna("").astype(str))
    here = pd.factorize(where, sort=True)[0].astype(np.int64)
    met = pd.DataFrame({"what": what, "where": here})[what >= 0].drop_duplicates()
    if not met["what"].duplicated().any():
        raise PhenoloomError(
            f"`contrast.pairs: {kind}` needs items with the same `{column}` and different {' and '.join(places)}, "
            f"found none; use other pairs, or say in `source.columns` what `{column}` is called"
        )
    unknown = what < 0
    what[unknown] = what.max() + 1 + np.arange(int(unknown.sum()))
    return np.stack([what, here], 1)


def with_partners(plan_rows: Rows, keys: NDArray[np.int64], seed: int, epoch: int) -> Rows:
    """Return the rows of an epoch in an order that puts partners next to each other, and is otherwise random.

    Each row is placed beside one of another place where there is one, so that batches cut from the order hold pairs.

    Args:
        plan_rows: Rows of the epoch.
        keys: Keys of all rows (`pair_keys`).
        seed: Seed of the training.
        epoch: Number of the epoch, from 0.
    """
    generator = np.random.default_rng([seed, epoch])
    mixed = generator.permutation(plan_rows)
    what, where = keys[mixed, 0], keys[mixed, 1]
    # Deal the rows of each thing over its places in turn: neighbours then come from different places.
    turn = _rank_within(np.stack([what, where], 1))
    order = np.lexsort((turn, what))
    mixed, what = mixed[order], what[order]
    # Couples of neighbours stay together, and couples are shuffled.
    couple = _rank_within(what[:, None]) // 2
    _, number = np.unique(np.stack([what, couple], 1), axis=0, return_inverse=True)
    place = generator.permutation(number.max() + 1)[number.ravel()]
    return np.asarray(mixed[np.argsort(place, kind="stable")], np.int64)


def _comparable(value: object) -> object:
    """Return a value that can be compared; several labels are the one value of their set."""
    return " | ".join(sorted(map(str, value))) if isinstance(value, list | np.ndarray) else value


def _rank_within(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of earlier rows of equal key for each row."""
    groups = pd.DataFrame(keys).groupby(list(range(keys.shape[1])), sort=False)
    return np.asarray(groups.cumcount(), np.int64)
