"""YAML files to validated models; every complaint names the file, the key and the nearest valid one."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Hashable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from ..core.errors import PhenoloomError
from .expansion import expanded
from .model import ImageModel, Model, ShapeModel
from .search import nested
from .study import Config, Representation, Study
from .variants import KEY, bases, combinations

M = TypeVar("M", bound=BaseModel)
OBJECTIVES = {"ae", "vae", "vqvae", "mae", "dino", "contrast"}
"""Tags of the union of objectives; none of them is a key of one."""


# The parser in C where PyYAML was built with it: every job of a cluster reads these files again.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """Safe YAML that refuses a key given twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice (line {line})")
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping; raises PhenoloomError naming the file."""
    return _mapping(_read_text(path), path)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.stem, [p.stem for p in path.parent.glob("*.yaml")], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PhenoloomError(f"There is no file {path}{hint}") from None
    except UnicodeDecodeError as error:
        raise PhenoloomError(f"{path} is not valid YAML: {error}") from None


def _mapping(text: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # A date that the calendar does not have, or a list as a key, is found by no YAML error.
        raise PhenoloomError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise PhenoloomError(f"{path} must hold keys and values, but holds {type(content).__name__}")
    return content


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


def validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """The values of any section, or a complaint that names the file, the key and the nearest valid one."""
    return _validate(model, values, where)


def _validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise PhenoloomError(_sentences(error, model, where)) from None


def _sentences(error: ValidationError, model: type[BaseModel], where: str) -> str:
    return "\n".join(_sentence(e, model, where) for e in error.errors())


def _sentence(error: Any, model: type[BaseModel], where: str) -> str:
    parts = [str(part) for part in error["loc"]]
    # A discriminated union puts its tag into the location; the user wrote no such key.
    if parts and parts[0] in {"tiles", "shapes"} and "view" in model.model_fields:
        parts = parts[1:]
        if len(parts) > 1 and parts[0] == "objective" and parts[1] in OBJECTIVES:
            del parts[1]
    key = ".".join(parts) or "the file"
    if error["type"] == "extra_forbidden":
        valid = sorted(_keys_at(model, parts[:-1]))
        near = difflib.get_close_matches(parts[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys here: {', '.join(valid)}"
        return f"{where}: unknown key `{key}`; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "missing" or not parts else f" (found {error['input']!r})"
    return f"{where}: `{key}`: {message[:1].lower()}{message[1:]}{found}"


def _keys_at(model: type[BaseModel], parts: list[str]) -> set[str]:
    models = [model]
    for part in parts:
        following: list[type[BaseModel]] = []
        for m in models:
            if part in m.model_fields:
                following += models_in(m.model_fields[part].annotation)
        # A part that is no field is the key of a mapping or an index: stay with the mapping's values.
        models = following or models
    return {key for m in models for key in m.model_fields}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type annotation mentions, at any depth."""
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from models_in(argument)
