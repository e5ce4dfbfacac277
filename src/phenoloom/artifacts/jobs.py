"""The jobs of a study: what the workflow runs, `phenoloom status` looks for and `phenoloom forecast` counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config.load import load_model
from ..config.rules import RuleSettings, model_split, splits
from ..config.study import Study
from ..config.transfer import has_encoder, transferred
from .inputs import Inputs, shards_of

OUTPUTS: Mapping[str, Callable[..., Sequence[Path]]] = {
    "simulate": lambda folder: [folder.simulation],
    "sheet": lambda folder: [folder.sheet, folder.sheet_manifest],
    "objects": lambda folder: [folder.objects, folder.objects_manifest],
    "convert": lambda folder, shard: [folder.tiles.manifest(shard), folder.tiles.table(shard)],
    "contours": lambda folder, shard: [folder.shapes.manifest(shard), folder.shapes.table(shard)],
    "distances": lambda folder, shard: [folder.distances.manifest(shard)],
    "describe": lambda folder, shard: [folder.descriptors.table(shard)],
    "index": lambda folder: [folder.index, folder.index_manifest, folder.quarantine],
    "folds": lambda folder: [folder.folds, folder.folds_manifest],
    "tune": lambda folder, model, split, worker: [folder.search(model, split).worker(worker)],
    "choose": lambda folder, model, split: [folder.search(model, split).chosen, folder.search(model, split).trials],
    "pretrain": lambda folder, model, split: [
        getattr(folder.model(model, split), name) for name in ("weights", "card", "metrics")
    ],
    "embed": lambda folder, representation, split: [folder.embeddings.table(representation, split)],
    "classify": lambda folder, representation: [folder.representation_scores(representation)],
    "transfer_embed": lambda folder, source, representation, split: [
        folder.transfer(source).embeddings.table(representation, split)
    ],
    "transfer": lambda folder, source, representation: [folder.transfer(source).scores(representation)],
    "audit": lambda folder: [folder.audit],
    "compare": lambda folder: [folder.scores, folder.comparisons],
    "collect": lambda folder: [folder.annotated_embeddings],
    "report": lambda folder: [folder.report],
}
"""Rule -> the declared outputs of a job, from the study's folder and the values of its wildcards."""


@dataclass(frozen=True)
class Job:
    """One job of a study; its files are computed when they are asked for, because many only count jobs.

    Attributes:
        rule: name of the rule.
        wildcards: values of the rule's wildcards by name, in the order of the output's path, without the study.
        study: the inputs of all jobs of the study, which know its settings and its folder.
    """

    rule: str
    wildcards: Mapping[str, str]
    study: Inputs = field(repr=False)

    @property
    def values(self) -> tuple[str, ...]:
        """Values of the wildcards."""
        return tuple(self.wildcards.values())

    @property
    def inputs(self) -> dict[str, list[Path]]:
        """Files that the job waits for, by name."""
        return self.study.of(self.rule, self.wildcards)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Declared outputs."""
        return tuple(OUTPUTS[self.rule](self.study.folder, **self.wildcards))

    @property
    def options(self) -> list[str]:
        """Arguments of the command that depend on the study's configuration."""
        return self.study.options(self.rule, self.wildcards)

    @property
    def log(self) -> Path:
        """Log of the command."""
        return self.study.folder.log(self.rule, self.values)


def models_of(study: Study, name: str) -> list[tuple[str, str]]:
    """Return (model, split) of everything that must be trained for the study called `name`, sorted."""
    entries = study.representations.items()
    return sorted(
        {(r.encoder, model_split(name, r, split)) for key, r in entries if r.encoder for split in splits(study, key)}
    )


def jobs_of(settings: RuleSettings) -> Iterator[Job]:
    """Yield every job of a study, in the order of the flow."""
    inputs = Inputs(settings)
    for rule, wildcards in _wildcards(settings):
        yield Job(rule, wildcards, inputs)


_Wildcards = Iterator[tuple[str, dict[str, str]]]


def _wildcards(settings: RuleSettings) -> _Wildcards:
    study = settings.study
    if study.source.simulate:
        yield "simulate", {}
    yield "sheet", {}
    if study.source.object_rows:
        yield "objects", {}
    yield from _of_shards(settings)
    yield "index", {}
    yield "folds", {}
    yield from _of_searches(settings)
    for model, split in models_of(study, settings.name):
        yield "pretrain", {"model": model, "split": split}
    for name in study.representations:
        for split in splits(study, name):
            yield "embed", {"representation": name, "split": split}
    for name in study.representations:
        yield "classify", {"representation": name}
    for source in study.transfer:
        yield from _of_transfer(source, study, settings.studies[source])
    yield "audit", {}
    yield "compare", {}
    yield "collect", {}
    yield "report", {}


def _of_shards(settings: RuleSettings) -> _Wildcards:
    study = settings.study
    wanted = {
        "convert": study.tiles,
        "contours": study.shapes,
        "distances": study.shapes and study.shapes.store_distances,
        "describe": settings.describe().descriptors,
    }
    for rule in (rule for rule, needed in wanted.items() if needed):
        for shard in shards_of(study):
            yield rule, {"shard": shard}


def _of_searches(settings: RuleSettings) -> _Wildcards:
    """Searches for settings: those of each split see its train groups alone."""
    trained = models_of(settings.study, settings.name)
    searches = {model: load_model(model, settings.study, settings.config_dir).tune for model in dict(trained)}
    for model, split in trained:
        if tune := searches[model]:
            for worker in range(tune.workers):
                yield "tune", {"model": model, "split": split, "worker": str(worker)}
            yield "choose", {"model": model, "split": split}


def _of_transfer(source: str, study: Study, trained: Study) -> _Wildcards:
    """Tests of another study's encoders; what they make of this study's rows is embedded for it alone."""
    names = transferred(study, trained)
    for name in (name for name in names if has_encoder(name, study)):
        for split in splits(trained, name):
            yield "transfer_embed", {"source": source, "representation": name, "split": split}
    for name in names:
        yield "transfer", {"source": source, "representation": name}
