"""Configuration and input functions; no rules."""

import gc
import inspect
import re
from functools import cache
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError

from phenoloom.config import (
    RuleSettings,
    check_mixtures,
    check_transfers,
    load_config,
    load_model,
    load_study,
    model_split,
    overview_settings,
    splits,
)
from phenoloom.config.load import Lazy
from phenoloom.config.jobs import jobs_of, shards_of
from phenoloom.core.errors import PhenoloomError

CONFIG_DIR = Path("config")

# A plan is millions of objects that live to its end: looking among them for garbage takes a tenth of its time.
gc.freeze()
gc.set_threshold(200_000, 20, 100)


def or_stop(load, *arguments):
    """What `load` gives, or its complaint as one that Snakemake prints without a traceback."""
    try:
        return load(*arguments)
    except PhenoloomError as error:
        raise WorkflowError(str(error))


CONFIG = or_stop(load_config, config, "config/config.yaml with --config")
# A model may be trained on studies that are not run, or its encoder be another's: what that needs of them is made.
KNOWN = dict.fromkeys(
    [*CONFIG.studies, *sorted(path.stem for path in CONFIG_DIR.glob("studies/*.yaml"))]
)
STUDIES = Lazy(KNOWN, lambda name: or_stop(load_study, name, CONFIG_DIR))
# Every study is checked before anything starts; a submitted job looks only at those that it needs.
if workflow.is_main_process:
    for name in CONFIG.studies:
        or_stop(check_mixtures, name, STUDIES, CONFIG_DIR)
        or_stop(check_transfers, name, STUDIES, CONFIG_DIR)

RESULTS = CONFIG.results
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
SETTINGS = Lazy(
    KNOWN,
    lambda name: RuleSettings(name, STUDIES[name], CONFIG, CONFIG_DIR, STUDIES),
)


wildcard_constraints:
    study="|".join(map(re.escape, KNOWN)),
    source="|".join(map(re.escape, KNOWN)),
    shard=r"\d{4}",
    split=r"all|fold-\d+",
    worker=r"\d+",
    model=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    representation=r"[A-Za-z0-9][A-Za-z0-9._-]*",


def signed(function):
    """Snakemake asks what a function's arguments are each time it calls one; the answer is kept with the function."""
    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


def get_settings(rule, *wildcard_names):
    """Function of the wildcards that gives the rule's settings as canonical JSON."""

    @cache
    def canonical(study, *arguments):
        try:
            return getattr(SETTINGS[study], rule)(*arguments).canonical()
        except PhenoloomError as error:
            raise WorkflowError(str(error)) from None

    def settings(wildcards):
        arguments = [getattr(wildcards, name) for name in wildcard_names]
        return canonical(wildcards.study, *arguments)

    return signed(settings)


# A job that writes a table writes its manifest last, so that the manifest stands for both: rules have the manifest as
# input and find the table beside it. That a table was deleted is noticed all the same, for every output is a target of
# rule `all`. Naming the tables too would be a third of all inputs of a large plan.
INDEX = f"{RESULTS}/{{study}}/index.parquet"
FOLDS = f"{RESULTS}/{{study}}/folds.parquet"
SHEET = f"{RESULTS}/{{study}}/sheet.parquet"


def get_shard_files(study, folder, suffix):
    return [
        f"{RESULTS}/{study}/{folder}/{shard}.{suffix}"
        for shard in shards_of(STUDIES[study])
    ]


def get_view(study, representation):
    return SETTINGS[study].embed(representation, "all").view


def get_embeddings(study, representation):
    return [
        f"{RESULTS}/{study}/embeddings/{representation}/{s}.parquet"
        for s in splits(STUDIES[study], representation)
    ]


def get_all_embeddings(wildcards):
    return [
        path
        for name in STUDIES[wildcards.study].representations
        for path in get_embeddings(wildcards.study, name)
    ]


def get_raw(wildcards):
    """Files that a sheet is made from; images are not tracked one by one."""
    study = STUDIES[wildcards.study]
    if study.source.simulate:
        return [f"{RESULTS}/{wildcards.study}/raw/simulate.json"]
    root = Path(SETTINGS[wildcards.study].sheet().root)
    tracked = [
        study.source.table.path if study.source.table else None,
        study.source.listing,
    ]
    tracked.append(study.source.outlines.path if study.source.outlines else None)
    return [str(root / path) for path in tracked if path]


def get_index_shards(wildcards):
    folder = "tiles" if STUDIES[wildcards.study].tiles else "shapes"
    return get_shard_files(wildcards.study, folder, "json")


def get_outlined(wildcards):
    """What contours come from: tiles, which come from the sheet themselves, or mask files or points in the sheet."""
    folder = f"{RESULTS}/{wildcards.study}"
    if STUDIES[wildcards.study].tiles:
        return {"tiles": f"{folder}/tiles/{wildcards.shard}.json"}
    return {"sheet": f"{folder}/sheet.json"}


@cache
def get_model(study, model):
    """A model as the study changes it."""
    return load_model(model, STUDIES[study], CONFIG_DIR)


def get_view_folder(study, view):
    """Folder of the stores of a view; which shards there are stands in the index."""
    return f"{RESULTS}/{study}/{view}"


def get_model_stores(wildcards):
    """Folder of the stores that a model trains on."""
    view = get_model(wildcards.study, wildcards.model).view
    return get_view_folder(wildcards.study, view)


def get_unindexed(study, view):
    """Manifests of the stores of a view, as far as the index was not made from them.

    Naming all of them again for each model and fold would be more than half of all inputs of a large plan.
    """
    indexed = "tiles" if STUDIES[study].tiles else "shapes"
    return [] if view == indexed else get_shard_files(study, view, "json")


def get_unindexed_stores(wildcards):
    """Those of the stores that a model trains on."""
    view = get_model(wildcards.study, wildcards.model).view
    return get_unindexed(wildcards.study, view)


def get_training(wildcards):
    """How and where the model trains."""
    return get_model(wildcards.study, wildcards.model).training


def get_chosen(wildcards):
    """The settings that a search has chosen, for a model that declares one."""
    if get_model(wildcards.study, wildcards.model).tune is None:
        return {}
    folder = f"{RESULTS}/{wildcards.study}/tuning/{wildcards.model}/{wildcards.split}"
    return {"chosen": f"{folder}/chosen.yaml"}


def get_embed_input(wildcards):
    """What a representation is computed from: others, descriptors, or a model and the stores of its view."""
    study, entry = (
        wildcards.study,
        STUDIES[wildcards.study].representations[wildcards.representation],
    )
    if entry.concatenate:
        return {
            "parts": [
                f"{RESULTS}/{study}/embeddings/{part}/{split}.parquet"
                for part in entry.concatenate
                for split in splits(STUDIES[study], part)
                if split in ("all", wildcards.split)
            ]
        }
    if entry.descriptors == "intensity":
        return {}
    if entry.descriptors:
        return {"descriptors": get_shard_files(study, "descriptors", "parquet")}
    # The stores come along with the weights that were trained on them.
    view = get_view(study, wildcards.representation)
    trained_here = entry.trained_here(study)
    split = model_split(study, entry, wildcards.split)
    folder = f"{RESULTS}/{study}/models/{entry.encoder}/{split}"
    return {
        "stores": [] if trained_here else get_unindexed(study, view),
        "weights": f"{folder}/model.safetensors",
        "model": f"{folder}/model.yaml",
    }


def get_embed_source(wildcards, input):
    """Options that say what a representation is computed from."""
    options = []
    if "model" in input.keys():
        view = get_view(wildcards.study, wildcards.representation)
        stores = get_view_folder(wildcards.study, view)
        options += ["--model", input.model, "--stores", stores]
    for name in ("descriptors", "parts"):
        if name in input.keys():
            options += [f"--{name}", *input.get(name)]
    return options


def get_study_targets(study):
    """Every declared output of a study."""
    return [
        f"{RESULTS}/{study}/{output}"
        for job in jobs_of(SETTINGS[study])
        for output in job.outputs
    ]


def get_reported(wildcards):
    """What a study's page comes from: its scores and vectors, and stores that no vector comes from.

    The page reads nearly every output. The others come along, for scores and vectors come from them; naming them again
    takes more than a tenth of a large plan's time.
    """
    study, folder = STUDIES[wildcards.study], f"{RESULTS}/{wildcards.study}"
    paths = [
        f"{folder}/{name}"
        for name in ("scores.parquet", "comparisons.parquet", "embeddings.h5ad")
    ]
    entries = study.representations
    outlined = study.shapes and not (
        SETTINGS[wildcards.study].describe().descriptors
        or any(get_view(wildcards.study, name) == "shapes" for name in entries)
    )
    if outlined:
        paths += get_shard_files(wildcards.study, "shapes", "json")
    if study.shapes and study.shapes.store_distances:
        paths += get_shard_files(wildcards.study, "distances", "json")
    if study.transfer:
        jobs = [
            job for job in jobs_of(SETTINGS[wildcards.study]) if job.rule == "transfer"
        ]
        paths += [f"{folder}/{output}" for job in jobs for output in job.outputs]
    return paths


def get_targets():
    """Every declared output, as a list: Snakemake loses the first item of a generator."""
    return [
        f"{RESULTS}/index.html",
        *(path for study in CONFIG.studies for path in get_study_targets(study)),
    ]
