"""The jobs of a study and what each of them writes: what the workflow makes and `phenoloom status` looks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .load import load_model
from .rules import RuleSettings, model_split, splits
from .study import Study
from .transfer import has_encoder, transferred


@dataclass(frozen=True)
class Job:
    """One job: its rule, the values of its wildcards other than the study, and its declared outputs in the study's
    folder.
    """

    rule: str
    values: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def log(self) -> str:
        """Its log, in the study's folder of logs."""
        return f"{self.rule}/{'-'.join(self.values)}.log" if self.values else f"{self.rule}.log"


def shards_of(study: Study) -> list[str]:
    """Names of the shards."""
    return [f"{number:04d}" for number in range(study.shards)]


def models_of(study: Study, name: str) -> list[tuple[str, str]]:
    """(model, split) of everything that must be trained for the study called `name`."""
    entries = study.representations.items()
    return sorted(
        {(r.encoder, model_split(name, r, split)) for key, r in entries if r.encoder for split in splits(study, key)}
    )


def jobs_of(settings: RuleSettings) -> Iterator[Job]:
    """Every job of a study, in the order of the flow."""
    study = settings.study
    if study.source.simulate:
        yield Job("simulate", (), ("raw/simulate.json",))
    yield Job("sheet", (), ("sheet.parquet", "sheet.json"))
    yield from _shard_jobs(settings)
    yield Job("index", (), ("index.parquet", "index.json", "quarantine.tsv"))
    yield Job("folds", (), ("folds.parquet", "folds.json"))
    yield from _search_jobs(settings)
    for model, split in models_of(study, settings.name):
        files = ("model.safetensors", "model.yaml", "metrics.csv")
        yield Job("pretrain", (model, split), tuple(f"models/{model}/{split}/{name}" for name in files))
    for name in study.representations:
        for split in splits(study, name):
            yield Job("embed", (name, split), (f"embeddings/{name}/{split}.parquet",))
    for name in study.representations:
        yield Job("classify", (name,), (f"scores/{name}.parquet",))
    for source in study.transfer:
        yield from _transfer_jobs(source, study, settings.studies[source])
    yield Job("compare", (), ("scores.parquet", "comparisons.parquet"))
    yield Job("collect", (), ("embeddings.h5ad",))
    yield Job("report", (), ("report/index.html",))


def _transfer_jobs(source: str, study: Study, trained: Study) -> Iterator[Job]:
    """Tests of another study's encoders; what they make of this study's rows is embedded for it alone."""
    folder, names = f"transfer/{source}", transferred(study, trained)
    for name in (name for name in names if has_encoder(name, study)):
        for split in splits(trained, name):
            yield Job("transfer_embed", (source, name, split), (f"{folder}/embeddings/{name}/{split}.parquet",))
    for name in names:
        yield Job("transfer", (source, name), (f"{folder}/{name}.parquet",))


def _shard_jobs(settings: RuleSettings) -> Iterator[Job]:
    study = settings.study
    rules: dict[str, tuple[str, tuple[str, ...]]] = {}
    if study.tiles:
        rules["convert"] = ("tiles", ("json", "parquet"))
    if study.shapes:
        rules["contours"] = ("shapes", ("json", "parquet"))
        if study.shapes.store_distances:
            rules["distances"] = ("distances", ("json",))
    if settings.describe().descriptors:
        rules["describe"] = ("descriptors", ("parquet",))
    for rule, (folder, suffixes) in rules.items():
        for shard in shards_of(study):
            yield Job(rule, (shard,), tuple(f"{folder}/{shard}.{suffix}" for suffix in suffixes))


def _search_jobs(settings: RuleSettings) -> Iterator[Job]:
    """Searches for settings: those of each split see its train groups alone."""
    trained = models_of(settings.study, settings.name)
    found = {model: load_model(model, settings.study, settings.config_dir).tune for model in dict(trained)}
    for model, split in trained:
        folder, tune = f"tuning/{model}/{split}", found[model]
        if tune:
            for worker in range(tune.workers):
                yield Job("tune", (model, split, str(worker)), (f"{folder}/worker-{worker}.json",))
            yield Job("choose", (model, split), (f"{folder}/chosen.yaml", f"{folder}/trials.tsv"))
