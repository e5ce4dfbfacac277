"""The settings of a split."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.base import Unit
from ..config.study import Folds


@dataclass(frozen=True)
class SplitDesign:
    """Settings of the split of a study.

    Attributes:
        unit: Kind of unit that is classified.
        folds: Scheme, number of folds, and kind of group that stays in one fold.
        seed: Decides between groups that are alike.
    """

    unit: Unit
    folds: Folds
    seed: int

    @property
    def least_groups(self) -> int:
        """Groups that a class needs: one a fold, or two where each group is a fold, one to train on and one to test."""
        return 2 if self.folds.scheme == "leave-one-group-out" else self.folds.count
