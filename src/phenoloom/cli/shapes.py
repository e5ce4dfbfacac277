"""Commands that extract contours and describe objects."""

from __future__ import annotations

import argparse

from .command import SHARD, THREADS, optional_path, path, rule


@rule(
    path("--sheet"),
    optional_path("--tiles"),
    SHARD,
    THREADS,
)
def contours(a: argparse.Namespace) -> None:
    """Extract one shard's contours from masks or outlines."""
    from ..config.rule_settings import ContoursSettings
    from ..shapes.contours import extract_contours

    extract_contours(ContoursSettings.parse(a.settings), a.sheet, a.shard, a.tiles, a.output, a.threads)


@rule(path("--shapes"))
def distances(a: argparse.Namespace) -> None:
    """Store one shard's distance matrices."""
    from ..config.rule_settings import DistancesSettings
    from ..shapes.distances import store_distances

    store_distances(DistancesSettings.parse(a.settings), a.shapes, a.output)


@rule(path("--shapes"))
def describe(a: argparse.Namespace) -> None:
    """Compute one shard's classical descriptors."""
    from ..config.rule_settings import DescribeSettings
    from ..shapes.describe import describe_shard

    describe_shard(DescribeSettings.parse(a.settings), a.shapes, a.output)
