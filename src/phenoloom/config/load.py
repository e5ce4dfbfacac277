"""Configuration files, read and validated: the run, studies, and models with what a study changes in them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..core.errors import PhenoloomError
from .keys import merged, nested
from .messages import explained, validated
from .model import ImageModel, Model, ShapeModel
from .representation import Representation
from .run import Config
from .study import Study
from .variants import KEY, bases, combinations, expanded
from .yaml_file import parse_yaml, read_text, read_yaml

V = TypeVar("V")


def load_config(values: Mapping[str, Any], where: str = "config/config.yaml") -> Config:
    """Return the validated configuration of a run: `config.yaml` and `--config` together."""
    return validated(Config, values, where)


def load_study(name: str, config_dir: Path) -> Study:
    """Read and validate `studies/<name>.yaml`, with the models that it uses but without other studies.

    A representation of a model with variants becomes one representation for each variant.
    """
    path = config_dir / "studies" / f"{name}.yaml"
    study = validated(Study, read_yaml(path), str(path))
    used = {r.model for r in study.representations.values() if r.model}
    for unused in sorted(set(study.models) - used):
        raise PhenoloomError(
            f"{path}: `models.{unused}` changes a model that no representation uses "
            f"(used: {', '.join(sorted(used)) or 'none'}); rename or remove it"
        )
    study = _without_own_name(name, study, path)
    for representation, entry in study.representations.items():
        view = view_of(entry, study, config_dir)
        if getattr(study, view) is None:
            raise PhenoloomError(
                f"{path}: representation {representation!r} needs the view `{view}`, which the study does not have; "
                f"add a `{view}` section or remove the representation"
            )
    return study.model_copy(update={"representations": _with_variants(study, config_dir)})


def load_model(name: str, study: Study, config_dir: Path) -> ImageModel | ShapeModel:
    """Read and validate a model file of `models/`, with the study's own changes over it.

    Args:
        name: A model file, a variant of one (`mae-vit-small.patch-4`), or the encoder of a representation that is
            trained on named studies (`mae-vit-small.on-ours_theirs`).
        study: The study that uses the model.
        config_dir: Folder of the configuration.
    """
    entry = study.trained_as(name)
    name = entry.model if entry and entry.model else name
    base, suffix = name, ""
    if not _model_file(name, config_dir).exists():
        known = ((b, s) for b, s in bases(name) if _model_file(b, config_dir).exists())
        base, suffix = next(known, (name, ""))
    path = _model_file(base, config_dir)
    return _validated_model(path, base, suffix, read_text(path), _Changes(study.models.get(base, {})))


def with_values(model: ImageModel | ShapeModel, values: Mapping[str, Any], where: str) -> ImageModel | ShapeModel:
    """Return a model with other values.

    Args:
        model: The model.
        values: Dotted key -> its new value.
        where: File, or place in a file, for the error message.

    Raises:
        PhenoloomError: The values do not fit together.
    """
    return _model_of(merged(model.model_dump(mode="json"), nested(values)), where)


def view_of(entry: Representation, study: Study, config_dir: Path) -> Literal["tiles", "shapes"]:
    """Return the view that a representation needs; a concatenation with a part of tiles needs tiles."""
    if entry.concatenate:
        parts = {view_of(study.representations[part], study, config_dir) for part in entry.concatenate}
        return "tiles" if "tiles" in parts else "shapes"
    if entry.model:
        return load_model(entry.model, study, config_dir).view
    return "tiles" if entry.descriptors == "intensity" else "shapes"


def check_mixtures(name: str, studies: Mapping[str, Study], config_dir: Path) -> None:
    """Refuse a study that trains a model on studies which lack the model's view, or that searches its settings too.

    Args:
        name: The study.
        studies: All studies by name.
        config_dir: Folder of the configuration.

    Raises:
        PhenoloomError: With the representation and the study that do not fit together.
    """
    study = studies[name]
    for representation, entry in study.representations.items():
        view = view_of(entry, study, config_dir)
        if entry.trained_on and entry.model and load_model(entry.model, study, config_dir).tune:
            raise PhenoloomError(
                f"{name}: representation {representation!r} is `trained_on` several studies, but {entry.model} "
                "searches its settings (`tune`) in one; search first, then write the chosen settings into a model file"
            )
        for other in entry.trained_on:
            if other not in studies:
                read_text(config_dir / "studies" / f"{other}.yaml")
            if getattr(studies[other], view) is None:
                raise PhenoloomError(
                    f"{name}: representation {representation!r} is trained on the `{view}` of {other}, which has none; "
                    f"add a `{view}` section to it, or take it out of `trained_on`"
                )


class Lazy(Mapping[str, V]):
    """A mapping that makes each value on first use: `make(name)` for each of `names`, in their order."""

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


def _without_own_name(name: str, study: Study, path: Path) -> Study:
    """Return the study without a `trained_on` that names the study alone, which means the same as none."""
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


def _with_variants(study: Study, config_dir: Path) -> dict[str, Representation]:
    """Return the representations, one for each variant of their model, after validating every variant."""
    found = expanded(study.representations, lambda model: load_model(model, study, config_dir).variants)
    for entry in found.values():
        if entry.model:
            load_model(entry.model, study, config_dir)
    return found


def _model_file(name: str, config_dir: Path) -> Path:
    return config_dir / "models" / f"{name}.yaml"


class _Changes:
    """A study's changes to a model, as the key of a cache: two are equal if their text is."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values, self.text = values, repr(values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Changes) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


# The workflow asks for the same model once for each job; each text of a file is validated once.
@lru_cache(maxsize=4096)
def _validated_model(path: Path, name: str, suffix: str, text: str, changes: _Changes) -> ImageModel | ShapeModel:
    where = f"{path} with the study's `models.{name}`" if changes.values else str(path)
    values = merged(parse_yaml(text, path), changes.values)
    if suffix:
        listed = combinations(_validated_model(path, name, "", text, changes).variants or {})
        if suffix not in listed:
            near = difflib.get_close_matches(suffix, listed, n=1)
            hint = f"; did you mean {near[0][1:]!r}?" if near else ""
            raise PhenoloomError(f"{where}: `variants` lists no {suffix[1:]!r}{hint}")
        values = merged({key: value for key, value in values.items() if key != KEY}, listed[suffix])
        where = f"{where}, variant {suffix[1:]!r}"
    model = _model_of(values, where)
    for key, allowed in model.tune.ranges.items() if model.tune else ():
        for value in allowed.ends:
            _model_of(merged(values, nested({key: value})), f"{where}, `tune.ranges.{key}` at {value}")
    return model


def _model_of(values: Mapping[str, Any], where: str) -> ImageModel | ShapeModel:
    try:
        return _model_adapter().validate_python(values)
    except ValidationError as error:
        model: type[BaseModel] = ShapeModel if values.get("view") == "shapes" else ImageModel
        raise PhenoloomError(explained(error, model, where)) from None


@cache
def _model_adapter() -> TypeAdapter[ImageModel | ShapeModel]:
    return TypeAdapter(Model)
