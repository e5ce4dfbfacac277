from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import coins

from phenoloom.config.source import Masks
from phenoloom.images.polarity import LEAST_EVIDENCE, polarity_evidence
from phenoloom.images.segment import segment

SIZE = 192


def covered(seed: int, cover: float, radius: int, *, overlap: bool = False) -> NDArray[np.float32]:
    """A plane of ellipses of value 1 that cover a share of it, many of them cut by the border."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((SIZE, SIZE), np.float32)
    size = float(radius)
    for _ in range(4000):
        if plane.mean() >= cover:
            break
        axes = (max(round(size), 3), max(round(size * rng.uniform(0.7, 1)), 3))
        one = np.zeros_like(plane)
        place = tuple(int(p) for p in rng.integers(-5, SIZE + 5, 2))
        cv2.ellipse(one, place, axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
        if overlap or not (one * plane).any():
            plane = np.maximum(plane, one)
        else:
            # Smaller ones fill the gaps.
            size = max(size * 0.995, 3)
    return plane


def pixels(shape: NDArray[np.float32], *, dark: bool, noise: float, shade: float = 0.0, seed: int = 0) -> np.ndarray:
    """An 8-bit image of objects on a field with noise of the camera, under uneven light."""
    smooth = cv2.GaussianBlur(shape, (0, 0), 1.0)
    intensity = 200 * np.exp(-0.6 * smooth) if dark else 30 + 120 * smooth
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    light = 1 - shade * (x**2 + y**2) / 2
    added = np.random.default_rng(seed).normal(0, noise, shape.shape)
    return np.clip(intensity * light + added, 0, 255).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cover=st.floats(0.03, 0.5),
    radius=st.integers(7, 36),
    dark=st.booleans(),
    noise=st.sampled_from([0.0, 2.0, 6.0]),
    shade=st.sampled_from([0.0, 0.2]),
)
def test_objects_are_found_bright_or_dark_up_to_half_of_the_image(
    seed: int, cover: float, radius: int, dark: bool, noise: float, shade: float
) -> None:
    evidence = polarity_evidence(pixels(covered(seed, cover, radius), dark=dark, noise=noise, shade=shade, seed=seed))
    assert (evidence < 0) == dark


@pytest.mark.parametrize("dark", [False, True])
def test_crowds_that_overlap_are_told_by_most_of_their_images(dark: bool) -> None:
    sums = [polarity_evidence(pixels(covered(seed, 0.6, 18, overlap=True), dark=dark, noise=3)) for seed in range(5)]
    assert (sum(sums) < -LEAST_EVIDENCE) == dark


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("y", "x", "radius"), [(96, 96, 80), (96, 0, 90), (0, 0, 120), (96, 96, 8)])
def test_one_object_is_enough_large_or_small_or_cut_by_the_border(dark: bool, y: int, x: int, radius: int) -> None:
    shape = cv2.circle(np.zeros((SIZE, SIZE), np.float32), (x, y), radius, 1.0, -1)
    evidence = polarity_evidence(pixels(shape, dark=dark, noise=3))
    assert abs(evidence) > LEAST_EVIDENCE
    assert (evidence < 0) == dark


@pytest.mark.parametrize("mean", [20, 200])
def test_a_field_of_noise_or_of_one_value_tells_nothing(mean: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert abs(polarity_evidence(rng.poisson(mean, (256, 256)).astype(np.uint16))) < LEAST_EVIDENCE
    assert polarity_evidence(np.full((40, 50), mean, np.uint8)) == 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "float32"])
def test_the_answer_depends_on_neither_pixel_type_nor_gain_nor_a_few_hot_pixels(dtype: str) -> None:
    plane = pixels(covered(1, 0.3, 14), dark=True, noise=3).astype(dtype)
    expected = polarity_evidence(plane)
    assert expected < -1
    if dtype == "float32":
        assert polarity_evidence(plane * np.float32(1e30)) == pytest.approx(expected, abs=0.2)
    hot = plane.copy()
    hot[::50, ::50] = 255
    assert polarity_evidence(hot) == pytest.approx(expected, abs=0.5)


def test_inverting_the_pixels_inverts_the_answer() -> None:
    plane = coins()
    assert polarity_evidence(plane) > 1
    assert polarity_evidence(255 - plane) == pytest.approx(-polarity_evidence(plane), abs=0.1)


@pytest.mark.parametrize("dark", [False, True])
def test_small_objects_of_a_large_image_and_large_ones_are_seen(dark: bool) -> None:
    shape = np.tile(covered(3, 0.2, 8), (5, 8))
    many = np.where(shape > 0, 80 if dark else 180, 130) + np.random.default_rng(0).normal(0, 3, shape.shape)
    one = cv2.circle(np.full((1000, 1600), 130, np.uint8), (800, 450), 380, 80 if dark else 180, -1)
    for plane in (many.astype(np.uint8), one):
        assert (polarity_evidence(plane) < -LEAST_EVIDENCE) == dark
        assert abs(polarity_evidence(plane)) > LEAST_EVIDENCE


def of_folder(files: list[Path], colour: int) -> float:
    return sum(polarity_evidence(cv2.imread(str(file))[..., colour]) for file in files)


@pytest.mark.parametrize("colour", [0, 1, 2])
@pytest.mark.parametrize("site", ["1", "2"])
def test_stained_blood_is_dark_in_every_colour(data_root: Path, site: str, colour: int) -> None:
    files = sorted((data_root / "segmentation_wbc" / f"Dataset {site}").glob("*.bmp"))[::25][:4]
    assert of_folder(files, colour) < -LEAST_EVIDENCE


@pytest.mark.parametrize("channel", ["Hoechst", "Tritc", "FITC"])
def test_fluorescent_cells_are_bright_in_every_channel(data_root: Path, channel: str) -> None:
    files = sorted((data_root / "hela_sirna_submorph" / "source").glob(f"*/*/{channel}.jpeg"))[:4]
    assert of_folder(files, 0) > LEAST_EVIDENCE


@pytest.mark.parametrize(("site", "least"), [("1", 0.6), ("2", 0.75)])
def test_dark_segmentation_of_stained_blood_in_red_finds_the_nuclei(data_root: Path, site: str, least: float) -> None:
    overlaps = []
    for file in sorted((data_root / "segmentation_wbc" / f"Dataset {site}").glob("*.bmp"))[::25][:6]:
        nucleus = cv2.imread(str(file.with_suffix(".png")), cv2.IMREAD_GRAYSCALE) > 200
        found = segment(cv2.imread(str(file))[..., 2], Masks(objects="one"), "dark") > 0
        overlaps.append((found & nucleus).sum() / (found | nucleus).sum())
    assert np.mean(overlaps) > least
