"""Run the steps that bring a study in with the settings of their rules, as the command line does."""

from __future__ import annotations

from pathlib import Path

from phenoloom.artifacts.provenance import Provenance
from phenoloom.config.rule_settings import (
    ConvertSettings,
    IndexSettings,
    ObjectsSettings,
    SheetSettings,
    SimulateSettings,
)
from phenoloom.study.index import IndexFiles, make_index
from phenoloom.study.objects import make_objects
from phenoloom.study.sheet import make_sheet
from phenoloom.study.simulate import simulate_study
from phenoloom.tiles.convert import convert_shard
from phenoloom.tiles.tiler import Conversion


def run_simulate(settings: SimulateSettings, folder: Path, manifest: Path) -> None:
    """Simulate a study in a folder."""
    simulate_study(settings.simulation, settings.seed, folder, manifest, Provenance.of(settings))


def run_sheet(settings: SheetSettings, sheet: Path) -> None:
    """Make a sheet, and its manifest beside it."""
    source = settings.source.model_copy(update={"root": settings.root})
    rejected, made_by = settings.max_rejected_fraction, Provenance.of(settings)
    make_sheet(source, settings.shards, rejected, sheet, sheet.with_suffix(".json"), made_by)


def run_objects(settings: ObjectsSettings, sheet: Path, manifest: Path) -> None:
    """Make the table of objects beside a manifest."""
    source = settings.source.model_copy(update={"root": settings.root})
    make_objects(source, sheet, manifest.with_suffix(".parquet"), manifest, Provenance.of(settings))


def run_convert(
    settings: ConvertSettings, sheet: Path, manifest: Path, threads: int = 1, objects: Path | None = None
) -> None:
    """Convert the shard that the manifest is called after."""
    conversion = Conversion.of(settings, objects=objects)
    convert_shard(conversion, sheet, manifest.stem, manifest, Provenance.of(settings), threads)


def run_index(
    settings: IndexSettings, sheet: Path, shards: list[Path], index: Path, objects: Path | None = None
) -> None:
    """Make the index, and its manifest and quarantine table beside it."""
    files = IndexFiles(index, index.with_name("quarantine.tsv"), index.with_suffix(".json"))
    make_index(sheet, shards, files, Provenance.of(settings), objects, settings.shapes)
