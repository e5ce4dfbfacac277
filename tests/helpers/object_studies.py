"""Small studies with labels of single objects: images and masks on disk, and all steps up to the folds."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from phenoloom.artifacts.layout import ResultsFolder
from phenoloom.artifacts.manifest import read_manifest
from phenoloom.artifacts.provenance import Provenance
from phenoloom.config import Config, RuleSettings, Study
from phenoloom.shapes.contours import ContourPolicy, extract_contours
from phenoloom.shapes.sources import outline_source
from phenoloom.splits.folds import SplitDesign, make_folds
from phenoloom.study.shards import shard_rows
from tests.helpers.images import write_tiff
from tests.helpers.steps import run_convert, run_index, run_objects, run_sheet

SIDE = 64
SQUARES = ((8, 8), (8, 40), (40, 8), (40, 40))
"""Top left corners of the objects 1 to 4 of an image: squares of 12 px, none at the border."""

STUDY: dict[str, Any] = {
    "title": "t",
    "licence": "l",
    "source": {
        "files": "{plate}/{well}_s{field}.tif",
        "channels": ["DNA"],
        "masks": {"files": "{plate}/{well}_s{field}_mask.png"},
        "objects": {
            "path": "cells.csv",
            "join": {"plate": "Plate", "well": "Well", "field": "Site"},
            "object": "ObjectNumber",
            "label": "phenotype",
        },
    },
    "tiles": {"mode": "objects", "size": 16},
    "folds": {"count": 2, "group": "image"},
    "representations": {"intensity": {"descriptors": "intensity"}},
}
CONTOURS_ALONE = {
    "tiles": None,
    "shapes": {"points": 16},
    "representations": {"regionprops": {"descriptors": "regionprops"}},
}


def squares() -> np.ndarray:
    """Return the label image of four squares."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for number, (y, x) in enumerate(SQUARES, 1):
        labels[y : y + 12, x : x + 12] = number
    return labels


def changed(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a change: sections are merged, None removes a key."""
    merged: dict[str, Any] = copy.deepcopy(dict(values))
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = changed(merged.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged


class ObjectStudy:
    """Images of four squares in a folder, and the steps that make an index of them.

    Attributes:
        raw: Folder of the images.
        study: Folder of the results.
    """

    def __init__(self, folder: Path) -> None:
        self.raw = folder / "raw"
        self.results = folder / "results"
        self.study = ResultsFolder(self.results).study("toy")

    def image(self, name: str, labels: np.ndarray | None = None) -> ObjectStudy:
        """Write an image and its mask, by default of four squares."""
        labels = squares() if labels is None else labels
        (self.raw / name).parent.mkdir(parents=True, exist_ok=True)
        # Pixels differ between images, or equal images would share a fold.
        noise = np.random.default_rng(list(name.encode())).integers(0, 50, labels.shape)
        write_tiff(self.raw / f"{name}.tif", ((labels > 0) * 3000 + noise).astype(np.uint16))
        (self.raw / f"{name}_mask.png").write_bytes(imagecodecs.png_encode(labels))
        return self

    def table(self, text: str, name: str = "cells.csv") -> ObjectStudy:
        """Write a table."""
        (self.raw / name).write_text(text, encoding="utf-8")
        return self

    def rules(self, change: Mapping[str, Any]) -> RuleSettings:
        """Return the settings of all rules of the study, with a change."""
        config = Config(results=str(self.results), data_root=str(self.raw))
        return RuleSettings("toy", Study.model_validate(changed(STUDY, change)), config, Path("config"))

    def make(self, change: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Run all steps up to the index, and return it by id."""
        rules, folder = self.rules(change or {}), self.study
        run_sheet(rules.sheet(), folder.sheet)
        run_objects(rules.objects(), folder.sheet, folder.objects_manifest)
        shards = [f"{number:04d}" for number in range(rules.study.shards)]
        view = folder.tiles if rules.study.tiles else folder.shapes
        for shard in shards:
            if rules.study.tiles:
                run_convert(rules.convert(), folder.sheet, folder.tiles.manifest(shard), 1, folder.objects_manifest)
            else:
                self._contours(rules, shard)
        shards_made = [view.manifest(shard) for shard in shards]
        run_index(rules.index(), folder.sheet, shards_made, folder.index, folder.objects_manifest)
        table: pd.DataFrame = pq.read_table(folder.index).to_pandas()
        return table.set_index("id", drop=False)

    def folds(self, change: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Run all steps up to the folds, and return these by id."""
        self.make(change)
        settings = self.rules(change or {}).folds()
        design = SplitDesign(settings.unit, settings.folds, settings.seed)
        folds = self.study.folds
        make_folds(design, self.study.index, folds, self.study.folds_manifest, Provenance.of(settings))
        table: pd.DataFrame = pq.read_table(folds).to_pandas()
        return table.set_index("id", drop=False)

    @property
    def stated(self) -> dict[str, Any]:
        """Return what the manifest of the index states about the table of objects."""
        found: dict[str, Any] = read_manifest(self.study.index_manifest)["objects"]
        return found

    def _contours(self, rules: RuleSettings, shard: str) -> None:
        s, folder = rules.contours(), self.study
        objects = folder.objects_manifest if s.places else None
        source = outline_source(s.source, None, s.root, s.masks, s.outlines, objects)
        policy = ContourPolicy(s.points, s.min_points, s.border, s.max_rejected_fraction)
        rows = shard_rows(folder.sheet, shard)
        extract_contours(source, rows, policy, folder.shapes.manifest(shard), 1, Provenance.of(s))
