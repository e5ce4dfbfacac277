"""Tests of one study with the encoders and probes of another: which representations, and what both must share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.errors import PhenoloomError
from .load import load_model, view_of
from .representation import Representation
from .study import Study
from .yaml_file import read_yaml


def not_transferred(name: str, target: Study, source: Study) -> str | None:
    """Return why a representation of `target` is not tested with the encoder and probes of `source`; None if it is.

    Both studies must declare it in the same words. A model is then that of `source`, with the changes in its file. A
    representation that is trained on named studies may have seen the target, and is never transferred.
    """
    own, other = target.representations[name], source.representations.get(name)
    if other is None:
        return "not declared there"
    if own != other:
        return "declared otherwise there"
    if own.trained_on:
        return "trained on named studies"
    for part in own.concatenate or ():
        if reason := not_transferred(part, target, source):
            return f"{part}: {reason}"
    return None


def transferred(target: Study, source: Study) -> list[str]:
    """Return the representations of `target` that are tested as `source` has trained them, in the order of `target`."""
    return [name for name in target.representations if not not_transferred(name, target, source)]


def has_encoder(name: str, study: Study) -> bool:
    """Return whether an encoder makes the vectors of a representation, or of a part of it."""
    entry = study.representations[name]
    return bool(entry.model) or any(study.representations[part].model for part in entry.concatenate or ())


def check_transfers(name: str, studies: Mapping[str, Study], config_dir: Path) -> None:
    """Refuse studies in `transfer` that cannot be tested on the study.

    Args:
        name: The study that is tested on.
        studies: All studies by name.
        config_dir: Folder of the configuration.

    Raises:
        PhenoloomError: With the difference between the studies, and the key to change.
    """
    study = studies[name]
    for other in study.transfer:
        if other == name:
            raise PhenoloomError(f"{name}: `transfer` names the study itself; it is about other studies: remove it")
        if other not in studies:
            read_yaml(config_dir / "studies" / f"{other}.yaml")
        source = studies[other]
        shared = transferred(study, source)
        if not shared:
            raise PhenoloomError(
                f"{name}: `transfer` names {other}, which declares none of its representations in the same words "
                f"({', '.join(source.representations)} there); declare one in both, or remove it"
            )
        for problem in _differences(study, source):
            raise PhenoloomError(f"{name}: `transfer` names {other}, but {problem}")
        for representation in shared:
            for problem in _views_differ(study.representations[representation], study, source, config_dir):
                raise PhenoloomError(
                    f"{name}: representation {representation!r} cannot be tested as {other} has trained it: {problem}"
                )


def _differences(target: Study, source: Study) -> Iterator[str]:
    units = target.classify.unit, source.classify.unit
    if units[0] != units[1]:
        yield (
            f"`classify.unit` is {units[0]} here and {units[1]} there: probes of one cannot judge the other; "
            "choose one unit for both"
        )
    if (target.source.label_separator is None) != (source.source.label_separator is None):
        yield "one has several labels a unit (`label_separator`) and the other has one: they cannot be compared"


def _views_differ(entry: Representation, target: Study, source: Study, config_dir: Path) -> Iterator[str]:
    if entry.concatenate:
        for part in entry.concatenate:
            yield from _views_differ(target.representations[part], target, source, config_dir)
    elif view_of(entry, source, config_dir) == "shapes":
        points = [study.shapes.points for study in (target, source) if study.shapes]
        if len(set(points)) > 1:
            yield f"its outlines have {points[0]} points here and {points[1]} there; set `shapes.points` alike"
    elif not _channels_fit(entry, target, source, config_dir):
        keys = (
            "`source.channels`, `channels.aliases` of the model" if entry.model else "`source.channels`, in one order"
        )
        yield (
            f"its channels are {', '.join(target.source.channels)} here and {', '.join(source.source.channels)} there; "
            f"name them alike ({keys}), or rename one of the representations"
        )


def _channels_fit(entry: Representation, target: Study, source: Study, config_dir: Path) -> bool:
    """Return whether a representation of tiles can take the channels of `target`.

    An encoder takes channels by name. Descriptors take them in the order of the files.
    """
    here, there = list(target.source.channels), list(source.source.channels)
    if entry.model:
        model = load_model(entry.model, source, config_dir)
        return model.view == "tiles" and model.channels.places(there, here) is not None
    return here == there
