from __future__ import annotations

import numpy as np
import pytest

from phenoloom.config.source import Masks
from phenoloom.images.objects import objects
from phenoloom.images.segment import segment
from phenoloom.study.synthetic_cells import PHENOTYPES, Plate, place_cells, render_field

PLATE = Plate(np.full(3, 2.0), np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("phenotype", PHENOTYPES)
def test_cells_keep_apart(phenotype: str) -> None:
    for seed in range(5):
        cells = place_cells(np.random.default_rng(seed), phenotype, 1.1, 12, 320)  # type: ignore[arg-type]
        angle = np.arange(cells.radii.shape[1]) * 2 * np.pi / cells.radii.shape[1]
        outlines = cells.centres[:, None] + cells.radii[..., None] * np.stack([np.sin(angle), np.cos(angle)], 1)
        for i in range(12):
            for j in range(i):
                gap = np.linalg.norm(outlines[i][::16, None] - outlines[j][None, ::16], axis=2).min()
                assert gap > 2.0


def test_phenotypes_differ_in_structure_but_not_in_area_or_mean_intensity() -> None:
    means, spreads, shapes = {}, {}, {}
    for phenotype in PHENOTYPES:
        found = []
        for seed in range(12):
            image, _ = render_field(np.random.default_rng(seed), phenotype, 1.0, PLATE, 12, 320)
            labels = segment(image[1], Masks(split_distance_px=20))
            table = objects(labels)
            for label in table.label[~table.touches_border & (table.area_px > 60)]:
                pixels = image[:, labels == label].astype(float)
                y, x = np.nonzero(labels == label)
                axes = np.sqrt(np.linalg.eigvalsh(np.cov(y, x)))
                found.append([pixels.shape[1], *pixels.mean(axis=1), pixels[2].std(), axes[1] / axes[0]])
        values = np.array(found)
        assert len(values) > 100
        means[phenotype], spreads[phenotype], shapes[phenotype] = values[:, :4], values[:, 4], values[:, 5]
    control = means["control"]
    for phenotype in PHENOTYPES[1:]:
        effect = (means[phenotype].mean(axis=0) - control.mean(axis=0)) / control.std(axis=0)
        assert np.abs(effect).max() < 0.5
    assert shapes["shape"].mean() > shapes["control"].mean() + 2 * shapes["control"].std()
    assert spreads["texture"].mean() > spreads["control"].mean() + spreads["control"].std()


def test_nearly_every_cell_is_segmented_once() -> None:
    lost = total = 0
    for seed, phenotype in enumerate(PHENOTYPES * 3):
        image, centres = render_field(np.random.default_rng(seed), phenotype, 1.0, PLATE, 12, 320)
        labels = segment(image[1], Masks(split_distance_px=20))
        y, x = np.rint(centres).astype(int).T
        seen = (y >= 0) & (x >= 0) & (y < 320) & (x < 320)
        hit = labels[y[seen], x[seen]]
        total += len(hit)
        lost += len(hit) - len(set(hit[hit > 0].tolist()))
    assert total > 120
    assert lost <= 0.03 * total
