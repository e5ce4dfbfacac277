"""Draw synthetic cells and photograph them with a model camera: fields of view with a known truth.

Four phenotypes differ in outline, in texture, or in where a protein sits, but not in area or in total light: each
cell's area and its light in each channel are drawn from one distribution for all phenotypes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..core.errors import PhenoloomError

Floats = NDArray[np.float64]
Phenotype = Literal["control", "shape", "texture", "localisation"]

PHENOTYPES: tuple[Phenotype, ...] = ("control", "shape", "texture", "localisation")
CHANNELS = ("dna", "body", "protein")

ANGLES = 1024
RADIUS_OF_PITCH, LARGEST_RADIUS, REACH_OF_PITCH = 0.21, 18.0, 0.44
LEAST_PITCH_PX = 48
PSF_SIGMA_PX = (1.1, 1.4, 1.2)
PHOTONS_PER_PX = (420.0, 260.0, 240.0)
BACKGROUND_PHOTONS = (12.0, 18.0, 15.0)
CAMERA_OFFSET, READ_NOISE, LIGHT_SPREAD = 100.0, 3.0, 0.22


@dataclass(frozen=True, slots=True)
class Plate:
    """Properties of a plate that do not depend on its cells.

    Attributes:
        gain: Gain of each channel, (3,).
        offset: Offset of each channel in counts, (3,).
        tilt: Slope of the light along y and x, (2,).
    """

    gain: Floats
    offset: Floats
    tilt: Floats

    @staticmethod
    def draw(rng: np.random.Generator) -> Plate:
        """Draw a plate at random."""
        return Plate(2.0 * rng.uniform(0.75, 1.3, 3), rng.uniform(0, 40, 3), rng.uniform(-0.15, 0.15, 2))


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one field.

    Attributes:
        centres: Centres as (y, x) in px, (n, 2).
        pitch: Pitch of their grid in px.
        radii: Distance from the centre to the outline by angle in px, (n, ANGLES).
    """

    centres: Floats
    pitch: float
    radii: Floats


def render_field(
    rng: np.random.Generator, phenotype: Phenotype, strength: float, plate: Plate, cells: int, size: int
) -> tuple[NDArray[np.uint16], Floats]:
    """Render one field of view.

    Args:
        rng: Source of everything random.
        phenotype: What all cells of the field are.
        strength: How strong the phenotype is; 1 is the usual.
        plate: Gain, offset and light of the plate.
        cells: Number of cells.
        size: Height and width in px.

    Returns:
        Pixels (3, size, size) of channels DNA, body, protein, and the cells' centres (n, 2) as (y, x) in px.
    """
    placed = place_cells(rng, phenotype, strength, cells, size)
    photons = _photons(rng, phenotype, strength, placed, size)
    return _camera(rng, photons, plate), placed.centres


def place_cells(rng: np.random.Generator, phenotype: Phenotype, strength: float, cells: int, size: int) -> Cells:
    """Place cells on a jittered grid, apart from each other; the grid is shifted so that the border cuts some.

    Args:
        rng: Source of everything random.
        phenotype: Phenotype of the cells, which may change their outlines.
        strength: Strength of the phenotype; 1 is the usual one.
        cells: Number of cells.
        size: Height and width of the field in px.
    """
    columns = int(np.ceil(np.sqrt(cells)))
    rows = -(-cells // columns)
    pitch = size / columns
    if pitch < LEAST_PITCH_PX:
        raise PhenoloomError(
            f"`simulate.cells` is {cells}, which leaves {pitch:.0f} px a cell in a field of {size} px, expected "
            f"{LEAST_PITCH_PX} or more; lower `cells` or raise `image_size`"
        )
    radius = min(RADIUS_OF_PITCH * pitch, LARGEST_RADIUS)
    radii = _outlines(rng, phenotype, strength, cells, radius)
    radii *= np.minimum(1.0, REACH_OF_PITCH * pitch / radii.max(axis=1, keepdims=True))
    sites = rng.permutation(rows * columns)[:cells]
    grid = np.stack([(sites // columns + 0.5) * size / rows, (sites % columns + 0.5) * pitch], axis=1)
    slack = np.maximum(pitch / 2 - radii.max(axis=1, keepdims=True) - 2.0, 0.0)
    shift = rng.uniform(-0.15, 0.15, 2) * pitch
    return Cells(grid + shift + rng.uniform(-1, 1, (cells, 2)) * slack, pitch, radii)


def _outlines(rng: np.random.Generator, phenotype: Phenotype, strength: float, n: int, radius: float) -> Floats:
    """Return the distance from the centre to the outline for each angle; the area does not depend on the phenotype."""
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    turned = theta + rng.uniform(0, 2 * np.pi, (n, 1))
    stretched = phenotype == "shape"
    aspect = np.exp(rng.normal(0.42 * strength if stretched else 0.12, 0.12, (n, 1)))
    radii = 1 / np.sqrt((np.cos(turned) / aspect) ** 2 + (np.sin(turned) * aspect) ** 2)
    for lobes in range(2, 7):
        radii += rng.normal(0, 0.07 / lobes**0.5, (n, 1)) * np.cos(lobes * theta + rng.uniform(0, 2 * np.pi, (n, 1)))
    if stretched:
        for pole in (0.0, np.pi, rng.uniform(0, 2 * np.pi, (n, 1))):
            height = rng.uniform(0.15, 0.75, (n, 1)) * strength
            radii += height * np.exp(28 * (np.cos(turned - pole + rng.normal(0, 0.3, (n, 1))) - 1))
    radii = np.maximum(radii, 0.35)
    area = np.pi * radius**2 * np.exp(rng.normal(0, 0.18, (n, 1)))
    scaled: Floats = radii * np.sqrt(area / ((radii**2).sum(axis=1, keepdims=True) * np.pi / ANGLES))
    return scaled


def _photons(rng: np.random.Generator, phenotype: Phenotype, strength: float, cells: Cells, size: int) -> Floats:
    """Return the light before optics, (3, size, size), in photons a pixel."""
    n, half = len(cells.centres), int(np.ceil(cells.pitch / 2)) + 2
    corner = np.floor(cells.centres).astype(int) - half
    steps = np.arange(2 * half)
    y = steps[None, :, None] + corner[:, :1, None] - cells.centres[:, :1, None]
    x = steps[None, None, :] + corner[:, 1:, None] - cells.centres[:, 1:, None]
    bearing = (np.arctan2(y, x) * (ANGLES / (2 * np.pi))).astype(int) % ANGLES
    outline = np.take_along_axis(cells.radii, bearing.reshape(n, -1), axis=1).reshape(bearing.shape)
    depth = outline - np.hypot(y, x)
    inside = np.clip(depth + 0.5, 0, 1)
    rough = [_noise(rng, inside.shape, sigma) for sigma in (1.5, 3.5)]
    nucleus_depth = _nuclei(rng, y, x, cells)
    nucleus = np.clip(nucleus_depth + 0.5, 0, 1) * inside
    area = inside.sum(axis=(1, 2))
    light = np.stack(
        [
            nucleus * (1 + 0.22 * rough[1]).clip(0.2),
            inside * (0.75 + 0.5 * np.exp(-((depth / 3.0) ** 2)) + 0.08 * rough[1]),
            _protein(rng, phenotype, strength, inside, nucleus_depth, rough),
        ]
    )
    total = area * np.exp(rng.normal(0, LIGHT_SPREAD, (3, n))) * np.array(PHOTONS_PER_PX)[:, None]
    total[0] *= nucleus.sum(axis=(1, 2)) / area
    light *= (total / light.sum(axis=(2, 3)))[:, :, None, None]
    canvas = np.zeros((3, size + 4 * half, size + 4 * half))
    for cell in range(n):
        top, left = corner[cell] + 2 * half
        canvas[:, top : top + 2 * half, left : left + 2 * half] += light[:, cell]
    return canvas[:, 2 * half : 2 * half + size, 2 * half : 2 * half + size]


def _nuclei(rng: np.random.Generator, y: Floats, x: Floats, cells: Cells) -> Floats:
    """Return the depth below the surface of each cell's nucleus in px, (n, k, k)."""
    n = len(cells.radii)
    radius = 0.5 * np.sqrt((cells.radii**2).mean(axis=1)) * rng.uniform(0.9, 1.1, n)
    offset = rng.normal(0, 0.12, (2, n)) * radius
    angle, aspect = rng.uniform(0, np.pi, n), np.exp(rng.normal(0.1, 0.07, n))
    cos, sin, dy, dx = (a[:, None, None] for a in (np.cos(angle), np.sin(angle), *offset))
    along = ((x - dx) * cos + (y - dy) * sin) / aspect[:, None, None]
    across = ((y - dy) * cos - (x - dx) * sin) * aspect[:, None, None]
    depth: Floats = radius[:, None, None] - np.hypot(along, across)
    return depth


def _protein(
    rng: np.random.Generator,
    phenotype: Phenotype,
    strength: float,
    inside: Floats,
    nucleus_depth: Floats,
    rough: list[Floats],
) -> Floats:
    """Distribute the protein, up to its amount: in the cytoplasm, in puncta, or in and around the nucleus."""
    n, nucleus = len(inside), np.clip(nucleus_depth + 0.5, 0, 1) * inside

    def share(low: float, high: float) -> Floats:
        return rng.uniform(low, high, (n, 1, 1)) * np.ones((n, 1, 1))

    spread = _unit((inside - 0.7 * nucleus) * (1 + 0.18 * rough[1]).clip(0.1))
    puncta = _unit((inside - nucleus).clip(0) * (rough[0] - 0.9).clip(0) + 1e-9 * inside)
    rim = inside * np.exp(-((nucleus_depth / 1.5) ** 2))
    central = _unit(nucleus + 0.8 * rim)
    in_puncta = share(0.2, 0.6) * strength if phenotype == "texture" else share(0.0, 0.1)
    in_nucleus = share(0.2, 0.55) * strength if phenotype == "localisation" else share(0.0, 0.12)
    light: Floats = spread * (1 - np.minimum(in_puncta + in_nucleus, 1)) + puncta * in_puncta + central * in_nucleus
    return light


def _unit(light: Floats) -> Floats:
    unit: Floats = light / light.sum(axis=(1, 2), keepdims=True)
    return unit


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Floats:
    """Draw smooth noise of mean 0 and standard deviation 1 in each patch."""
    noise: Floats = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0, sigma, sigma), mode="wrap")
    noise /= noise.std(axis=(1, 2), keepdims=True)
    return noise


def _camera(rng: np.random.Generator, photons: Floats, plate: Plate) -> NDArray[np.uint16]:
    """Return what a 16-bit camera writes: blur, uneven light, shot noise, gain, read noise and offset."""
    size = photons.shape[-1]
    grid = np.linspace(-1, 1, size)
    shading = 1 - 0.18 * (grid[:, None] ** 2 + grid**2) + plate.tilt[0] * grid[:, None] + plate.tilt[1] * grid
    light: list[Any] = [
        gaussian_filter(plane + background, sigma, mode="nearest") * shading
        for plane, background, sigma in zip(photons, BACKGROUND_PHOTONS, PSF_SIGMA_PX, strict=True)
    ]
    # Shot noise of ten and more photons is close to normal, and drawing it so takes a tenth of the time.
    mean = np.stack(light)
    electrons = mean + np.sqrt(mean + READ_NOISE**2) * rng.standard_normal(mean.shape, dtype=np.float32)
    counts = electrons * plate.gain[:, None, None] + CAMERA_OFFSET + plate.offset[:, None, None]
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
