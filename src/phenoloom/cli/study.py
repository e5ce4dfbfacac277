"""Commands that bring a study in: its sheet, its tiles and its index."""

from __future__ import annotations

import argparse

from .command import CONFIG, CONFIG_DIR, SHARD, THREADS, Argument, command, optional_path, path, paths, rule, scratch


@rule(path("--folder"))
def simulate(a: argparse.Namespace) -> None:
    """Make the raw files of a simulated study."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import SimulateSettings
    from ..study.simulate import simulate_study

    settings = SimulateSettings.parse(a.settings)
    simulate_study(settings.simulation, settings.seed, a.folder, a.output, Provenance.of(settings))


@rule(path("--sheet"))
def sheet(a: argparse.Namespace) -> None:
    """List the images of a study with their labels and shards."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import SheetSettings
    from ..study.sheet import make_sheet

    settings = SheetSettings.parse(a.settings)
    source = settings.source.model_copy(update={"root": settings.root})
    rejected, made_by = settings.max_rejected_fraction, Provenance.of(settings)
    make_sheet(source, settings.shards, rejected, a.sheet, a.output, made_by)


@rule(
    path("--sheet"),
    optional_path("--objects"),
    SHARD,
    THREADS,
    scratch("where the store is written before it is moved to its place"),
)
def convert(a: argparse.Namespace) -> None:
    """Tile one shard's raw images into the Zarr store."""
    from ..artifacts.provenance import Provenance
    from ..artifacts.scratch import scratch_folder, staged_output
    from ..config.rule_settings import ConvertSettings
    from ..study.shards import raw_bytes
    from ..tiles.convert import convert_shard
    from ..tiles.tiler import Conversion

    settings = ConvertSettings.parse(a.settings)
    conversion = Conversion.of(settings, objects=a.objects)
    folder = scratch_folder(a.scratch)
    with staged_output(a.output, folder, raw_bytes(a.sheet, a.shard) if folder else 0) as output:
        convert_shard(conversion, a.sheet, a.shard, output, Provenance.of(settings), a.threads)


@rule(
    path("--sheet"),
    path("--table"),
)
def objects(a: argparse.Namespace) -> None:
    """Find the images of the rows of a table of objects or points."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import ObjectsSettings
    from ..study.objects import make_objects

    settings = ObjectsSettings.parse(a.settings)
    source = settings.source.model_copy(update={"root": settings.root})
    make_objects(source, a.sheet, a.table, a.output, Provenance.of(settings))


@rule(
    path("--sheet"),
    path("--index"),
    path("--quarantine"),
    optional_path("--objects"),
    paths("--shards"),
)
def index(a: argparse.Namespace) -> None:
    """Join all shards into the study's index and quarantine table."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import IndexSettings
    from ..study.index import IndexFiles, make_index

    settings, files = IndexSettings.parse(a.settings), IndexFiles(a.index, a.quarantine, a.output)
    make_index(a.sheet, a.shards, files, Provenance.of(settings), a.objects, settings.shapes)


@command(
    Argument("studies", nargs="*", help="studies to check; default: those of --config, or all of config/studies"),
    CONFIG,
    CONFIG_DIR,
)
def check(a: argparse.Namespace) -> None:
    """Say what would happen to studies, without running anything."""
    from ..check.command import check
    from ..config.overrides import parsed, read_config

    config = read_config(a.config_dir, a.config)
    check(a.studies or (config.studies if "studies" in parsed(a.config) else []), config, a.config_dir)
