"""Commands that bring a study in: its sheet, its tiles and its index."""

from __future__ import annotations

import argparse

from .command import CONFIG, SHARD, THREADS, Argument, command, path, paths, rule, scratch


@rule(path("--folder"))
def simulate(a: argparse.Namespace) -> None:
    """Make the raw files of a simulated study."""
    from ..config.rule_settings import SimulateSettings
    from ..study.simulate import simulate_study

    simulate_study(SimulateSettings.parse(a.settings), a.folder, a.output)


@rule(path("--sheet"))
def sheet(a: argparse.Namespace) -> None:
    """List the images of a study with their labels and shards."""
    from ..config.rule_settings import SheetSettings
    from ..study.sheet import make_sheet

    make_sheet(SheetSettings.parse(a.settings), a.sheet, a.output)


@rule(
    path("--sheet"),
    SHARD,
    THREADS,
    scratch("where the store is written before it is moved to its place"),
)
def convert(a: argparse.Namespace) -> None:
    """Tile one shard's raw images into the Zarr store."""
    from ..artifacts.scratch import scratch_folder, staged_output
    from ..config.rule_settings import ConvertSettings
    from ..study.shards import raw_bytes
    from ..tiles.convert import convert_shard

    folder = scratch_folder(a.scratch)
    with staged_output(a.output, folder, raw_bytes(a.sheet, a.shard) if folder else 0) as output:
        convert_shard(ConvertSettings.parse(a.settings), a.sheet, a.shard, output, a.threads)


@rule(
    path("--sheet"),
    path("--index"),
    path("--quarantine"),
    paths("--shards"),
)
def index(a: argparse.Namespace) -> None:
    """Join all shards into the study's index and quarantine table."""
    from ..config.rule_settings import IndexSettings
    from ..study.index import make_index

    make_index(IndexSettings.parse(a.settings), a.sheet, a.shards, a.index, a.output, a.quarantine)


@command(
    Argument("studies", nargs="*", help="studies to check; default: all of config/studies"),
    CONFIG,
    Argument("--data-root", help="overrides `data_root`"),
)
def check(a: argparse.Namespace) -> None:
    """Validate configuration and sheets without running anything."""
    from ..study.check import check

    check(a.studies, a.config, a.data_root)
