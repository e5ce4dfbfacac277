"""Commands that compute vectors and collect them."""

from __future__ import annotations

import argparse

from ..core.errors import PhenoloomError
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
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import EmbedSettings
    from ..data.study_input import StudyInput, stores_in
    from ..embedding.embed import embed
    from ..embedding.representation import Concatenation, Descriptors, Encoder, Guest, Representation

    settings = EmbedSettings.parse(a.settings)
    origin: Descriptors | Encoder | Concatenation
    if settings.concatenate:
        origin = Concatenation(settings.concatenate, a.parts, settings.split, new=settings.source is not None)
    elif settings.descriptors:
        origin = Descriptors(settings.descriptors, a.descriptors)
    elif a.model is None:
        raise PhenoloomError(f"Representation {settings.representation} needs a trained model: give `--model`")
    else:
        guest = Guest(settings.study, settings.source) if settings.source else None
        # The workflow names the card, which is written last; a folder is easier to type.
        folder = a.model if a.model.is_dir() else a.model.parent
        origin = Encoder(folder, settings.split, settings.untrained, guest)
    stores = tuple(stores_in(a.stores, a.index)) if a.stores else ()
    study = StudyInput(settings.study, a.index, a.folds, stores)
    representation = Representation(settings.representation, origin)
    embed(representation, study, a.output, Provenance.of(settings), a.threads)


@rule(
    path("--folds"),
    paths("--embeddings"),
)
def collect(a: argparse.Namespace) -> None:
    """Collect all vectors in one AnnData file, with a 2-D map."""
    from ..artifacts.provenance import Provenance
    from ..config.rule_settings import CollectSettings
    from ..embedding.collect import Map, collect

    settings = CollectSettings.parse(a.settings)
    layout = Map(settings.map_points, settings.seed)
    collect(settings.representations, a.embeddings, a.folds, layout, a.output, Provenance.of(settings))
