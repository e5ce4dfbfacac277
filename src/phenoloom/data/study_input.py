"""The files of a study that a model trains on or embeds: its index, folds and stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ..artifacts.parquet import read_result
from ..artifacts.scratch import staged_stores


def stores_in(folder: Path, index: Path) -> list[Path]:
    """Return the manifests of the stores in `folder` (`tiles` or `shapes` of a study) of the shards in the index."""
    shards = read_result(index, columns=["shard"])["shard"].unique().to_pylist()
    return [folder / f"{shard}.json" for shard in sorted(shards)]


@dataclass(frozen=True)
class StudyInput:
    """The files of one study.

    Attributes:
        name: Name of the study.
        index: Parquet table with a row for each tile or object.
        folds: Parquet table of the split.
        stores: Manifests of the shards of tiles or contours.
    """

    name: str
    index: Path
    folds: Path
    stores: tuple[Path, ...]

    @classmethod
    def in_folder(cls, name: str, index: Path, folds: Path, stores: Path) -> StudyInput:
        """Return the input with the stores that the index names.

        Args:
            name: Name of the study.
            index: Parquet table with a row for each tile or object.
            folds: Parquet table of the split.
            stores: Folder of the stores, `tiles` or `shapes` of the study.
        """
        return cls(name, index, folds, tuple(stores_in(stores, index)))


@contextmanager
def staged_studies(studies: Sequence[StudyInput], scratch: Path | None) -> Iterator[list[StudyInput]]:
    """Yield the studies with copies of their stores in the folder `scratch`, or as they are without one.

    The copies are removed at the end, as `artifacts.scratch.staged_stores` describes.
    """
    with staged_stores([store for study in studies for store in study.stores], scratch) as staged:
        left = iter(staged)
        yield [replace(study, stores=tuple(islice(left, len(study.stores)))) for study in studies]
