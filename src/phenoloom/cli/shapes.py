"""Commands that extract contours and describe objects."""

from __future__ import annotations

import argparse

from .command import SHARD, THREADS, optional_path, path, rule


@rule(
    path("--sheet"),
    optional_path("--tiles"),
    optional_path("--objects"),
    SHARD,
    THREADS,
)
def contours(a: argparse.Namespace) -> None:
    """Extract one shard's contours from masks or outlines."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import ContoursSettings
    from ..shapes.contours import ContourPolicy, extract_contours
    from ..shapes.sources import outline_source
    from ..study.shards import shard_rows

    s = ContoursSettings.parse(a.settings)
    source = outline_source(s.source, a.tiles, s.root, s.masks, s.outlines, a.objects if s.places else None)
    policy = ContourPolicy.of(s)
    extract_contours(source, shard_rows(a.sheet, a.shard), policy, a.output, a.threads, Provenance.of(s))


@rule(path("--shapes"))
def distances(a: argparse.Namespace) -> None:
    """Store one shard's distance matrices."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import DistancesSettings
    from ..shapes.distances import store_distances

    store_distances(a.shapes, a.output, Provenance.of(DistancesSettings.parse(a.settings)))


@rule(path("--shapes"))
def describe(a: argparse.Namespace) -> None:
    """Compute one shard's classical descriptors."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import DescribeSettings
    from ..shapes.describe import describe_shard

    settings = DescribeSettings.parse(a.settings)
    describe_shard(settings.descriptors, a.shapes, a.output, Provenance.of(settings))
