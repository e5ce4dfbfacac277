"""How often a training takes each item: shares of studies, their quotas in an epoch, and an order by these.

Everything is a function of the seed and the epoch, so that a training that continues needs no state of the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.training import Balance
from ..core.errors import PhenoloomError
from ..data.loader import Rows
from .dataset import FOREGROUND, TrainingSet
from .task import TrainingTask

Floats = NDArray[np.float64]


def shares(counts: Mapping[str, int], balance: Balance) -> Floats:
    """Return the share of each study: w_s n_s^a / sum_t w_t n_t^a (Conneau et al. 2020, section 3.1).

    Args:
        counts: Study -> number of its items n_s.
        balance: The exponent a and the weights w_s.

    Raises:
        PhenoloomError: A weight names a study that is not in `counts`.
    """
    if strange := sorted(balance.weights.keys() - counts.keys()):
        raise PhenoloomError(
            f"`training.balance.weights` names {', '.join(strange)}, which the model is not trained on "
            f"({', '.join(counts)}); correct it"
        )
    size = np.array([float(n) ** balance.size_exponent for n in counts.values()])
    weighted = size * [balance.weights.get(name, 1.0) for name in counts]
    return np.asarray(weighted / weighted.sum(), np.float64)


def quotas(total: int, parts: Floats) -> list[int]:
    """Return the items of each study: `total` dealt by shares to the largest remainders, and at least one each.

    Of equal remainders the first study's comes first.
    """
    exact = total * parts
    whole = np.floor(exact).astype(np.int64)
    order = np.lexsort((np.arange(len(parts)), whole - exact))
    whole[order[: total - int(whole.sum())]] += 1
    while (whole == 0).any() and total >= len(parts):
        whole[np.argmin(whole)] += 1
        whole[np.argmax(whole)] -= 1
    return [int(n) for n in whole]


def passes(rows: Rows, quota: int, seed: Sequence[int], epoch: int) -> Rows:
    """Return the rows of one epoch: a window of endless passes over all rows, each pass in an order of its own.

    Over any number of epochs the counts of two rows differ by one at most.

    Args:
        rows: All rows.
        quota: Rows of an epoch.
        seed: Fixes the orders.
        epoch: Number of the epoch, from 0.
    """
    first, last = epoch * quota, (epoch + 1) * quota
    found = []
    for number in range(first // len(rows), -(-last // len(rows))):
        order = np.random.default_rng([*seed, number]).permutation(rows)
        start = number * len(rows)
        found.append(order[max(first - start, 0) : last - start])
    return np.concatenate(found)


def interleaved(parts: Sequence[Rows], seed: Sequence[int], epoch: int) -> Rows:
    """Return all rows of `parts`, which keep their order, with each part spread evenly over the whole.

    A stretch with the share x of the result holds x of every part, to within `len(parts)` items.
    """
    places = np.random.default_rng([*seed, epoch]).random(len(parts))
    keys = [(np.arange(len(part)) + place) / max(len(part), 1) for part, place in zip(parts, places, strict=True)]
    order = np.argsort(np.concatenate(keys), kind="stable")
    return np.asarray(np.concatenate(parts)[order], np.int64)


def weighted(rows: Rows, weights: Floats, quota: int, seed: Sequence[int], epoch: int) -> Rows:
    """Return rows of one epoch, each as often as `quota` times its share of the weights, rounded down or up.

    Systematic sampling (Madow 1949) over an order of the epoch's own: the expectation is exact.

    Args:
        rows: All rows.
        weights: Their weights (rows,).
        quota: Rows of an epoch.
        seed: Fixes the orders.
        epoch: Number of the epoch, from 0.
    """
    generator = np.random.default_rng([*seed, epoch])
    order = generator.permutation(len(rows))
    # The last sum is exact, so that the number of rows is.
    sums = np.cumsum(weights[order]) * (quota / weights.sum())
    sums[-1] = quota
    reached = np.floor(np.concatenate([[0.0], sums]) + generator.random()).astype(np.int64)
    return np.asarray(generator.permutation(np.repeat(rows[order], np.diff(reached))), np.int64)


def foreground_weights(foreground: NDArray[np.floating[Any]], exponent: float, study: str) -> Floats:
    """Return the weights of tiles (n,) by a power of their share of foreground.

    Args:
        foreground: Share of foreground of each tile (n,).
        exponent: Exponent of the power.
        study: Name of the study, for messages.

    Raises:
        PhenoloomError: No tile of the study has foreground.
    """
    weights = np.asarray(foreground, np.float64) ** exponent
    if not weights.sum() > 0:
        raise PhenoloomError(
            f"`training.foreground_exponent` is {exponent:g}, and no tile of {study} has foreground; set it to 0, or "
            "correct `source.masks`"
        )
    return weights


class Balanced:
    """The order of a training on one study or several, each of which has its share of every batch.

    Attributes:
        length: Items of an epoch.
        quotas: Study -> its items in an epoch.
    """

    def __init__(
        self, rows: Mapping[str, Rows], balance: Balance, parts: Floats, weights: Mapping[str, Floats] | None = None
    ) -> None:
        """Deal an epoch to the studies.

        Args:
            rows: Study -> its rows.
            balance: How many items an epoch has.
            parts: Share of each study.
            weights: Study -> weight of each of its rows; the rows of other studies come equally often.
        """
        self.rows, self.weights = dict(rows), dict(weights or {})
        self.length = balance.epoch_items or sum(map(len, rows.values()))
        self.quotas = dict(zip(rows, quotas(self.length, parts), strict=True))

    def epoch(self, seed: int, epoch: int) -> Rows:
        """Return the rows of one epoch; every batch that is cut from them holds each study by its share."""
        drawn = [self._drawn(name, [seed, number], epoch) for number, name in enumerate(self.rows, 1)]
        return interleaved(drawn, [seed, 0], epoch)

    def _drawn(self, name: str, seed: Sequence[int], epoch: int) -> Rows:
        rows, quota, weights = self.rows[name], self.quotas[name], self.weights.get(name)
        return passes(rows, quota, seed, epoch) if weights is None else weighted(rows, weights, quota, seed, epoch)


def samplers(task: TrainingTask, data: TrainingSet) -> tuple[Balanced | None, Balanced | None]:
    """Return the orders of training and of validation where they are other than each row once.

    Training takes rows by the shares of studies, or by foreground. Validation takes as many rows as there are, and
    does not weigh by foreground, so that every tile counts alike.
    """
    training, several = task.model.training, bool(data.studies)
    if not several and not training.foreground_exponent:
        return None, None
    train, held, parts = {task.study: data.train}, {task.study: data.validation}, np.ones(1)
    if several:
        starts = np.cumsum([0, *(len(part.table) for part in data.studies)])
        parts = np.array([part.share for part in data.studies])
        train = {part.name: part.train + start for part, start in zip(data.studies, starts, strict=False)}
        held = {part.name: part.validation + start for part, start in zip(data.studies, starts, strict=False)}
    weights = {}
    if training.foreground_exponent:
        foreground = data.table[FOREGROUND].to_numpy(np.float64)
        exponent = training.foreground_exponent
        weights = {name: foreground_weights(foreground[rows], exponent, name) for name, rows in train.items()}
    balance = training.balance if several else Balance()
    return Balanced(train, balance, parts, weights), Balanced(held, Balance(), parts) if several else None
