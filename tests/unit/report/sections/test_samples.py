from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from tests.helpers.report_results import (
    MadeUp,
    ReportedStudy,
    read_results,
    write_results,
)

from phenoloom.report.sections.samples import sample_gallery, sample_rows


def test_samples_are_of_their_class_and_the_same_for_the_same_seed(study: ReportedStudy) -> None:
    index = study.results.index
    assert index is not None
    first, again = (sample_rows(index, 6, seed=3) for _ in range(2))
    other = sample_rows(index.sample(frac=1, random_state=0), 6, seed=3)
    for label, rows in first.items():
        assert set(rows["label"]) == {label}
        assert len(rows) == rows["id"].nunique() == 6
        assert rows["id"].tolist() == again[label]["id"].tolist() == other[label]["id"].tolist()


def test_multi_label_rows_are_samples_of_each_of_their_labels() -> None:
    index = pd.DataFrame({"id": ["1", "2"], "label": [["a", "b"], None], "shard": "0000", "position": [0, 1]})
    assert {label: rows["id"].tolist() for label, rows in sample_rows(index, 5, 0).items()} == {"a": ["1"], "b": ["1"]}


@pytest.mark.parametrize(("sizes", "common"), [([1.0, 1.0, 1.2], True), ([1.0, 1.0, 1.0, 1.0, 9.0], False)])
def test_outlines_share_a_scale_unless_it_would_shrink_many_of_them_to_dots(
    sizes: list[float], common: bool, tmp_path: Path
) -> None:
    folder, benchmarks = write_results(MadeUp(tiles=False), tmp_path)
    for store in (folder / "shapes").glob("*.zarr"):
        contours = zarr.open_array(store / "contours", mode="r+")
        contours[:] = contours[:] * np.resize(sizes, contours.shape[0])[:, None, None]
    gallery = sample_gallery(read_results(folder, benchmarks), 6, 0)
    assert gallery is not None
    assert ("all at one scale" in gallery.caption) == common
    assert ("each scaled to its frame" in gallery.caption) != common


def test_tiles_of_a_grid_show_the_share_of_them_that_counts_as_foreground(tmp_path: Path) -> None:
    folder, benchmarks = write_results(MadeUp(shapes=False), tmp_path)
    shares = {}
    for path in sorted((folder / "tiles").glob("*.parquet")):
        rows = pd.read_parquet(path)
        rows = rows.assign(position=np.arange(len(rows)), foreground=np.linspace(0, 1, len(rows)))
        shares |= dict(zip(rows["id"], rows["foreground"], strict=True))
        rows.to_parquet(path)
    gallery = sample_gallery(read_results(folder, benchmarks), 3, seed=0)
    assert gallery is not None
    assert gallery.caption.endswith("Below each tile: the share of it that counts as foreground.")
    pictures = [picture for _, group in gallery.groups for picture in group]
    assert len({picture.note for picture in pictures}) > 3
    for picture in pictures:
        id_ = picture.alt.removeprefix("Tile ").rpartition(", class ")[0]
        assert float(picture.note.replace("\xa0", "").rstrip("%")) == pytest.approx(100 * shares[id_], abs=0.06)
