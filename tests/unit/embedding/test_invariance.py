"""How far vectors move when the same outline is described in another way."""

from __future__ import annotations

import numpy as np
import pytest

from phenoloom.embedding.invariance import CHANGES, Moved, invariance
from phenoloom.shapes.alignment import diameters, reconstruction_errors
from phenoloom.shapes.distance_matrix import distance_matrices
from phenoloom.shapes.fourier import distance_spectrum
from phenoloom.shapes.polygons import Polygons, standard_contours

EXACT = ("start at another point", "other direction", "other size")


def outlines(n: int = 24, points: int = 64) -> np.ndarray:
    """Smooth outlines of about 60 px, as the store has them."""
    rng = np.random.default_rng(0)
    t = np.arange(400) * 2 * np.pi / 400
    waves = sum(rng.normal(size=(n, 1)) / k * np.cos(k * t + rng.uniform(0, 6, (n, 1))) for k in range(2, 6))
    radius = 30 * (1 + 0.2 * waves)
    fine = np.stack([1.5 * radius * np.cos(t), radius * np.sin(t)], axis=2)
    return standard_contours(Polygons.from_array(fine), points)[0]


def by_name(found: list[Moved]) -> dict[str, Moved]:
    return {one.change: one for one in found}


def test_the_spectrum_does_not_move_under_exact_symmetries_and_little_under_sampling() -> None:
    found = by_name(invariance(distance_spectrum, outlines(), seed=0))
    assert list(found) == list(CHANGES)
    assert all(found[name].most < 1e-5 for name in EXACT)
    noisy = found.pop("mask noise of one pixel")
    assert all(0 < found[name].median < 0.05 for name in found if name not in EXACT)
    assert 0.05 < noisy.median < 0.5


def test_coordinates_move_under_every_change_but_size() -> None:
    found = by_name(invariance(lambda contours: contours.reshape(len(contours), -1), outlines(), seed=0))
    assert found["other size"].most < 1e-6
    assert min(found[name].median for name in ("start at another point", "other direction", "rotation")) > 0.3


def test_the_whole_matrix_depends_on_the_start_and_not_on_the_size() -> None:
    def upper(contours: np.ndarray) -> np.ndarray:
        return distance_matrices(contours).reshape(len(contours), -1)

    found = by_name(invariance(upper, outlines(), seed=0))
    assert found["start at another point"].median > 0.5
    assert found["other size"].most < 1e-5


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_keeps_the_outline_and_the_number_of_its_points(name: str) -> None:
    before = outlines()
    after = CHANGES[name](before, np.random.default_rng(1)) / (7 if name == "other size" else 1)
    assert after.shape == before.shape
    # Noise of one pixel moves the rim, and points along it; the others keep the curve but for its corners.
    limit = 1.2 if name.startswith("mask") else 0.1
    assert (reconstruction_errors(after, before) * diameters(before)).max() < limit


def test_noise_of_the_mask_is_drawn_anew_by_seed_and_an_object_of_few_pixels_survives() -> None:
    change = CHANGES["mask noise of one pixel"]
    small = outlines(3) / 60
    assert np.isfinite(change(small, np.random.default_rng(0))).all()
    a, b, c = (change(outlines(3), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.allclose(a, c)


def test_vectors_that_are_all_the_same_have_no_scale_to_move_on() -> None:
    with pytest.raises(ValueError, match="differ between objects"):
        invariance(lambda contours: np.ones((len(contours), 2)), outlines(), seed=0)
