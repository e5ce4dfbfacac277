"""The description of one training: a model, the study and split that it is for, and its seed."""

from __future__ import annotations

from dataclasses import dataclass

from ..artifacts.provenance import Provenance
from ..config.model import ImageModel, ShapeModel
from ..config.representation import Mixture


@dataclass(frozen=True)
class TrainingTask:
    """A model to train outside the test groups of one split.

    Attributes:
        name: Name of the model.
        model: Its settings.
        split: Name of the split, `fold-0`, `fold-1`, ... or `all`.
        seed: Seed of the study.
        made_by: The study that vectors will be made of, and the settings that results state.
        mixture: Studies to train on together; None: that study alone.
    """

    name: str
    model: ImageModel | ShapeModel
    split: str
    seed: int
    made_by: Provenance
    mixture: Mixture | None = None

    @property
    def study(self) -> str:
        """Return the name of the study that vectors will be made of."""
        return self.made_by.study

    @property
    def digest(self) -> str:
        """Return the sha256 of the settings: a saved state is continued only by the same settings."""
        return self.made_by.settings_sha256

    @property
    def trained_here(self) -> bool:
        """Return whether the study itself is trained on."""
        return self.mixture is None or self.study in self.mixture.studies
