"""Tests of other studies' encoders and probes on a study: what the two must share, told before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.errors import PhenoloomError
from .load import load_model, view_of
from .model import ImageModel
from .representation import Representation
from .study import Study
from .yaml_file import read_yaml


def not_transferred(name: str, target: Study, source: Study) -> str | None:
    """Why a representation of `target` is not tested as `source` has trained it; None where it is.

    Both must declare it in the same words; the model that these name is then the source's, with what the source's file
    says of it. What was trained on named studies may have seen the target.
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
    """Representations of `target` that are tested as `source` has trained them, in the order of `target`."""
    return [name for name in target.representations if not not_transferred(name, target, source)]


def has_encoder(name: str, study: Study) -> bool:
    """Whether the vectors of a representation, or of a part of it, are made by an encoder of a study."""
    entry = study.representations[name]
    return bool(entry.model) or any(study.representations[part].model for part in entry.concatenate or ())


def check_transfers(name: str, studies: Mapping[str, Study], config_dir: Path) -> None:
    """Refuse sources that a study cannot be tested with; `studies` loads them by name."""
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
        yield "one has several labels a unit (`label_separator`) and the other has one: they are not comparable"


def _views_differ(entry: Representation, target: Study, source: Study, config_dir: Path) -> Iterator[str]:
    for part in entry.concatenate or ():
        yield from _views_differ(target.representations[part], target, source, config_dir)
    if entry.concatenate:
        return
    if view_of(entry, source, config_dir) == "shapes":
        points = [study.shapes.points for study in (target, source) if study.shapes]
        if len(set(points)) > 1:
            yield f"its outlines have {points[0]} points here and {points[1]} there; set `shapes.points` alike"
        return
    here, there = list(target.source.channels), list(source.source.channels)
    known = here
    if entry.model:
        model = load_model(entry.model, source, config_dir)
        assert isinstance(model, ImageModel)
        # Channels reach an encoder by name; what is measured of pixels has them in the order of the files.
        order = model.channels.places(there, here)
        known = there if order is not None else here
    if known != there:
        yield (
            f"its channels are {', '.join(here)} here and {', '.join(there)} there; name them alike "
            f"(`source.channels`{', `channels.aliases` of the model' if entry.model else ', in one order'}), "
            "or rename one of the representations"
        )
