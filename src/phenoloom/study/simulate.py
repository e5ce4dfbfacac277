"""Simulate the demo study: plates of synthetic cells, filed as a microscope and an archive would file them."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from numpy.typing import NDArray

from ..artifacts.manifest import Manifest, file_digest, write_manifest
from ..artifacts.provenance import Provenance
from ..config.source import Simulation
from ..core.atomic import atomic_path, write_atomically
from ..core.errors import PhenoloomError
from ..core.progress import progress
from .synthetic_cells import CHANNELS, PHENOTYPES, Phenotype, Plate, render_field
from .wells import row_letters

ANNOTATION, TRUTH = "annotation.csv", "truth.parquet"
PLATE_SHAPES = ((4, 6), (8, 12), (16, 24), (32, 48))
WELLS_A_COMPOUND = 2
STRENGTHS = (1.0, 0.85, 1.1)
COMPRESSIONS: tuple[dict[str, Any], ...] = (
    {"compression": "lzw", "predictor": True},
    {"compression": "zlib"},
    {"compression": None},
)
DAMAGES = ("truncated", "zero bytes", "text instead of an image")


@dataclass(frozen=True, slots=True)
class Well:
    """One well, and the treatment of its cells.

    Attributes:
        plate: Name of the plate.
        name: Name of the well, as "A01".
        phenotype: What the compound does to cells.
        compound: Name of the compound.
        strength: Strength of the phenotype; 1 is the usual one.
    """

    plate: str
    name: str
    phenotype: Phenotype
    compound: str
    strength: float


def simulate_study(simulation: Simulation, seed: int, folder: Path, manifest: Path, made_by: Provenance) -> None:
    """Write `<plate>/<well>_s<field>_<channel>.tif`, the annotation table and the truth, and the manifest last.

    Every field draws from its own random stream, so its picture depends on the seed and its place only. Some files are
    damaged on purpose.

    Args:
        simulation: Sizes of the study.
        seed: Decides everything that is random.
        folder: Where the files are written; what an earlier simulation left there is removed.
        manifest: Where the manifest is written.
        made_by: Study and settings, for the manifest.

    Raises:
        PhenoloomError: The folder holds other files, or the sizes do not fit together.
    """
    wells = [well for plate in range(simulation.plates) for well in lay_out_plate(simulation, seed, plate)]
    damages = _damages(simulation, seed, wells)
    manifest.unlink(missing_ok=True)
    _clear(folder)
    truth = _write_fields(folder, simulation, seed, wells, damages)
    write_atomically(folder / ANNOTATION, lambda file: file.write(_annotation(wells)))
    with atomic_path(folder / TRUTH) as temporary:
        pq.write_table(pa.Table.from_pylist(truth), temporary)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    images = len(wells) * simulation.fields
    write_manifest(
        manifest,
        Manifest(
            "simulate",
            made_by,
            expected={"images": images, "files": images * len(CHANNELS)},
            found={"images": images, "files": len(files) - 2},
            content=file_digest(files),
            facts={"cells": len(truth), "channels": list(CHANNELS), "damaged": damages},
        ),
    )


def lay_out_plate(simulation: Simulation, seed: int, plate: int) -> list[Well]:
    """Return the wells of one plate: positions at random, phenotypes in equal numbers (the rest are controls)."""
    rows, columns = next((s for s in PLATE_SHAPES if s[0] * s[1] >= simulation.wells), PLATE_SHAPES[-1])
    if simulation.wells > rows * columns:
        raise PhenoloomError(
            f"`simulate.wells` is {simulation.wells}, the largest plate has {rows * columns}; lower it"
        )
    rng = _stream(seed, plate)
    positions = rng.choice(rows * columns, simulation.wells, replace=False)
    each = simulation.wells // len(PHENOTYPES)
    wells = []
    for number, position in enumerate(positions.tolist()):
        # The positions are at random already, so the phenotypes may be dealt in blocks.
        phenotype = PHENOTYPES[number // each] if number < each * len(PHENOTYPES) else PHENOTYPES[0]
        compound = number % each % max(each // WELLS_A_COMPOUND, 1)
        name = f"{row_letters(position // columns)}{position % columns + 1:02d}"
        treated = phenotype != PHENOTYPES[0]
        label = f"{phenotype}-{compound + 1}" if treated else "DMSO"
        strength = STRENGTHS[compound % len(STRENGTHS)] if treated else 1.0
        wells.append(Well(f"{plate + 1:03d}", name, phenotype, label, strength))
    return sorted(wells, key=lambda well: well.name)


def _write_fields(
    folder: Path, simulation: Simulation, seed: int, wells: list[Well], damages: dict[str, str]
) -> list[dict[str, Any]]:
    """Write all fields of view; return a row of the truth for each cell."""
    truth: list[dict[str, Any]] = []
    fields = _fields(simulation, seed, wells)
    for well, site, image, centres in progress(fields, len(wells) * simulation.fields, "simulate", "field"):
        for name, plane in zip(CHANNELS, image, strict=True):
            relative = _file(well, site, name)
            options = COMPRESSIONS[(int(well.plate) - 1) % len(COMPRESSIONS)]
            _write_tiff(folder / relative, plane, options, damages.get(relative))
        truth += [
            {
                "plate": well.plate,
                "well": well.name,
                "field": f"{site:02d}",
                "y": y,
                "x": x,
                "phenotype": well.phenotype,
            }
            for y, x in centres.tolist()
        ]
    return truth


def _fields(
    simulation: Simulation, seed: int, wells: list[Well]
) -> Iterator[tuple[Well, int, NDArray[np.uint16], NDArray[np.float64]]]:
    plates = {f"{i + 1:03d}": Plate.draw(_stream(seed, i, 1)) for i in range(simulation.plates)}
    for number, well in enumerate(wells):
        for site in range(1, simulation.fields + 1):
            image, centres = render_field(
                _stream(seed, int(well.plate), number, site),
                well.phenotype,
                well.strength,
                plates[well.plate],
                simulation.cells,
                simulation.image_size,
            )
            yield well, site, image, centres


def _stream(seed: int, *place: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(len(place), *place)))


def _file(well: Well, site: int, channel: str) -> str:
    return f"{well.plate}/{well.name}_s{site:02d}_{channel}.tif"


def _damages(simulation: Simulation, seed: int, wells: list[Well]) -> dict[str, str]:
    """Choose the files to damage, at most one of an image, and how each is damaged."""
    images = [(well, site) for well in wells for site in range(1, simulation.fields + 1)]
    if simulation.broken_files > len(images):
        raise PhenoloomError(
            f"`simulate.broken_files` is {simulation.broken_files}, but the study has {len(images)} images and "
            f"each may have one broken file; lower it"
        )
    rng = _stream(seed)
    damages = {}
    for i, image in enumerate(np.sort(rng.choice(len(images), simulation.broken_files, replace=False)).tolist()):
        well, site = images[image]
        damages[_file(well, site, CHANNELS[int(rng.integers(len(CHANNELS)))])] = DAMAGES[i % len(DAMAGES)]
    return damages


def _write_tiff(path: Path, plane: NDArray[np.uint16], options: dict[str, Any], damage: str | None) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, plane, photometric="minisblack", metadata=None, rowsperstrip=64, **options)
    content = buffer.getvalue()
    if damage is not None:
        text = b"<html><body>503 Service Unavailable</body></html>\n"
        content = {"truncated": content[: len(content) // 2], "zero bytes": b""}.get(damage, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _annotation(wells: list[Well]) -> bytes:
    """Return the table of wells, with the columns and habits of an archive: unused cells, decimal commas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Plate", "Well", "Compound", "Compound Concentration (microMolar)", "Control Type", "Phenotype"])
    for well in wells:
        control = well.phenotype == PHENOTYPES[0]
        dose = "" if control else f"{10 * well.strength:.1f}".replace(".", ",")
        kind = "negative control" if control else ""
        writer.writerow([well.plate, well.name, well.compound, dose, kind, well.phenotype])
    return text.getvalue().encode()


def _clear(folder: Path) -> None:
    """Delete what an earlier or killed run left; refuse a folder with anything else in it, at any depth."""
    if not folder.is_dir():
        return
    picture = rf"\d{{3,}}/[A-Z]+\d\d_s\d+_({'|'.join(map(re.escape, CHANNELS))})\.tif"
    ours = re.compile(rf"{picture}|\.?({re.escape(ANNOTATION)}|{re.escape(TRUTH)})(\..*)?")
    for entry in folder.rglob("*"):
        name = entry.relative_to(folder).as_posix()
        if (entry.is_symlink() or not entry.is_dir()) and not ours.fullmatch(name):
            raise PhenoloomError(
                f"{folder} holds {name!r}, which no simulation made; simulate into a folder of its own"
            )
    shutil.rmtree(folder)
