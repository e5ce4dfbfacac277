"""Commands that compute vectors and collect them."""

from __future__ import annotations

import argparse
from pathlib import Path

from .command import THREADS, optional_path, path, paths, rule

_ARGUMENTS = (
    path("--index"),
    path("--folds"),
    optional_path("--model"),
    optional_path("--stores"),
    paths("--descriptors"),
    paths("--parts"),
    THREADS,
)


@rule(*_ARGUMENTS)
def embed(a: argparse.Namespace) -> None:
    """Compute one representation's vectors with the study's own encoder."""
    _embed(a)


@rule(*_ARGUMENTS)
def transfer_embed(a: argparse.Namespace) -> None:
    """Compute one representation's vectors with another study's encoder."""
    _embed(a)


def _embed(a: argparse.Namespace) -> None:
    from ..config.rule_settings import EmbedSettings
    from ..data.sources import stores_in
    from ..embedding.embed import embed

    settings = EmbedSettings.parse(a.settings)
    stores = stores_in(a.stores, a.index) if a.stores else []
    embed(settings, a.index, a.folds, stores, a.descriptors, a.model, a.output, a.threads, a.parts)


@rule(
    path("--folds"),
    paths("--embeddings"),
)
def collect(a: argparse.Namespace) -> None:
    """Collect all vectors in one AnnData file, with a 2-D map."""
    from ..config.rule_settings import CollectSettings
    from ..embedding.collect import collect

    embeddings: dict[str, list[Path]] = {}
    for table in a.embeddings:
        embeddings.setdefault(table.parent.name, []).append(table)
    collect(CollectSettings.parse(a.settings), a.folds, embeddings, a.output)
