"""YAML files to validated models; every complaint names the file, the key and the nearest valid one."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..core.errors import PhenoloomError
from .expansion import expanded
from .messages import _sentences, _validate
from .model import ImageModel, Model, ShapeModel
from .run import Config
from .search import nested
from .study import Representation, Study
from .variants import KEY, bases, combinations
from .yaml_file import _mapping, _read_text, read_yaml


def load_config(values: Mapping[str, Any], where: str = "config/config.yaml") -> Config:
    """Validate the run's configuration (file and `--config` together)."""
    return _validate(Config, values, where)


def load_study(name: str, config_dir: Path) -> Study:
    """Validate `config/studies/<name>.yaml` and everything that it names but other studies."""
    path = config_dir / "studies" / f"{name}.yaml"
    study = _validate(Study, read_yaml(path), str(path))
    used = {r.model for r in study.representations.values() if r.model}
    for unused in sorted(set(study.models) - used):
        raise PhenoloomError(
            f"{path}: `models.{unused}` changes a model that no representation uses "
            f"(used: {', '.join(sorted(used)) or 'none'}); rename or remove it"
        )
    study = _told_alone(name, study, path)
    for representation, entry in study.representations.items():
        view = view_of(entry, study, config_dir)
        if getattr(study, view) is None:
            raise PhenoloomError(
                f"{path}: representation {representation!r} looks at view `{view}`, which the study does not have; "
                f"add a `{view}` section or remove the representation"
            )
    return study.model_copy(update={"representations": _with_variants(study, config_dir)})


def load_model(name: str, study: Study, config_dir: Path) -> ImageModel | ShapeModel:
    """Validate `config/models/<name>.yaml` with the study's own changes merged over it.

    The name may be that of a variant: of a model file, a dot, and values that its `variants` list. It may tell too what
    a representation of the study trains the model on.
    """
    entry = study.trained_as(name)
    name = entry.model if entry and entry.model else name
    base, suffix = name, ""
    if not _model_file(name, config_dir).exists():
        known = ((b, s) for b, s in bases(name) if _model_file(b, config_dir).exists())
        base, suffix = next(known, (name, ""))
    path = _model_file(base, config_dir)
    return _validated_model(path, base, suffix, _read_text(path), _Changes(study.models.get(base, {})))


def _told_alone(name: str, study: Study, path: Path) -> Study:
    """The study without a `trained_on` that names itself alone, which is what none means; refuses what cannot be."""
    entries = {}
    for representation, entry in study.representations.items():
        if entry.transductive and not entry.trained_here(name):
            raise PhenoloomError(
                f"{path}: representation {representation!r} is `transductive`, but `trained_on` lacks {name}: an "
                "encoder that never sees this study serves all folds as it is; remove `transductive`"
            )
        alone = entry.trained_on == [name]
        entries[representation] = entry.model_copy(update={"trained_on": []}) if alone else entry
    return study.model_copy(update={"representations": entries})


def check_mixtures(name: str, studies: Mapping[str, Study], config_dir: Path) -> None:
    """Refuse a study that trains a model on studies without the model's view; `studies` loads them by name."""
    study = studies[name]
    for representation, entry in study.representations.items():
        view = view_of(entry, study, config_dir)
        if entry.trained_on and entry.model and load_model(entry.model, study, config_dir).tune:
            raise PhenoloomError(
                f"{name}: representation {representation!r} is `trained_on` several studies, and {entry.model} "
                "searches its settings (`tune`) in one; search first, then write what it chose into a model file"
            )
        for other in entry.trained_on:
            if other not in studies:
                _read_text(config_dir / "studies" / f"{other}.yaml")
            if getattr(studies[other], view) is None:
                raise PhenoloomError(
                    f"{name}: representation {representation!r} is trained on the `{view}` of {other}, which has none; "
                    f"add a `{view}` section to it, or take it out of `trained_on`"
                )


def _model_file(name: str, config_dir: Path) -> Path:
    return config_dir / "models" / f"{name}.yaml"


def _with_variants(study: Study, config_dir: Path) -> dict[str, Representation]:
    """The representations, one for each variant where their model has any; every variant is validated."""
    found = expanded(study.representations, lambda model: load_model(model, study, config_dir).variants)
    for entry in found.values():
        if entry.model:
            load_model(entry.model, study, config_dir)
    return found


class _Changes:
    """A study's changes to a model, as the key of a cache: equal where their text is."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values, self.text = values, repr(values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Changes) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


# The workflow asks for the same model once a job; it is validated once for each text of its file.
@lru_cache(maxsize=4096)
def _validated_model(path: Path, name: str, suffix: str, text: str, changes: _Changes) -> ImageModel | ShapeModel:
    where = f"{path} with the study's `models.{name}`" if changes.values else str(path)
    values = _merge(_mapping(text, path), changes.values)
    if suffix:
        listed = combinations(_validated_model(path, name, "", text, changes).variants or {})
        if suffix not in listed:
            near = difflib.get_close_matches(suffix, listed, n=1)
            hint = f"; did you mean {near[0][1:]!r}?" if near else ""
            raise PhenoloomError(f"{where}: `variants` lists no {suffix[1:]!r}{hint}")
        values = _merge({key: value for key, value in values.items() if key != KEY}, listed[suffix])
        where = f"{where}, variant {suffix[1:]!r}"
    model = _model_of(values, where)
    for key, allowed in model.tune.ranges.items() if model.tune else ():
        for value in allowed.ends:
            _model_of(_merge(values, nested({key: value})), f"{where}, `tune.ranges.{key}` at {value}")
    return model


def _model_of(values: Mapping[str, Any], where: str) -> ImageModel | ShapeModel:
    try:
        return _model_adapter().validate_python(values)
    except ValidationError as error:
        model: type[BaseModel] = ShapeModel if values.get("view") == "shapes" else ImageModel
        raise PhenoloomError(_sentences(error, model, where)) from None


def with_values(model: ImageModel | ShapeModel, values: Mapping[str, Any], where: str) -> ImageModel | ShapeModel:
    """A model with other values by dotted key; raises PhenoloomError where they do not fit together."""
    return _model_of(_merge(model.model_dump(mode="json"), nested(values)), where)


@cache
def _model_adapter() -> TypeAdapter[ImageModel | ShapeModel]:
    return TypeAdapter(Model)


def view_of(entry: Representation, study: Study, config_dir: Path) -> Literal["tiles", "shapes"]:
    """What a representation looks at; several of which one looks at tiles look at tiles."""
    if entry.concatenate:
        parts = {view_of(study.representations[part], study, config_dir) for part in entry.concatenate}
        return "tiles" if "tiles" in parts else "shapes"
    if entry.model:
        return load_model(entry.model, study, config_dir).view
    return "tiles" if entry.descriptors == "intensity" else "shapes"


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], typing.cast(Mapping[str, Any], value)) if both else value
    return merged


V = TypeVar("V")


class Lazy(Mapping[str, V]):
    """`make(name)` for each of `names`, in their order, called at most once for each."""

    def __init__(self, names: Sequence[str], make: Callable[[str], V]) -> None:
        self._names, self._make = dict.fromkeys(names), make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
