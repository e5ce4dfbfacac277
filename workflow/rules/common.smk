"""The configuration, and what rules ask about their settings, inputs and paths; no rules."""

import re
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from phenoloom.artifacts.inputs import Inputs
from phenoloom.artifacts.jobs import jobs_of
from phenoloom.artifacts.layout import ResultsFolder
from phenoloom.config import (
    RuleSettings,
    check_mixtures,
    check_transfers,
    load_config,
    load_study,
    overview_settings,
)
from phenoloom.config.load import Lazy
from phenoloom.core.errors import PhenoloomError

CONFIG_DIR = Path("config")


def or_stop(load, *arguments):
    """Return what `load` returns, or raise its error as one that Snakemake prints without a traceback."""
    try:
        return load(*arguments)
    except PhenoloomError as error:
        raise WorkflowError(str(error)) from None


CONFIG = or_stop(load_config, config, "config/config.yaml with --config")
# Studies that are not run may be trained on, or their encoders tested: what that needs of them is made.
KNOWN = dict.fromkeys(
    [*CONFIG.studies, *sorted(path.stem for path in CONFIG_DIR.glob("studies/*.yaml"))]
)
STUDIES = Lazy(KNOWN, lambda name: or_stop(load_study, name, CONFIG_DIR))
# Every study is checked before anything starts; a submitted job looks only at those that it needs.
if workflow.is_main_process:
    for name in CONFIG.studies:
        or_stop(check_mixtures, name, STUDIES, CONFIG_DIR)
        or_stop(check_transfers, name, STUDIES, CONFIG_DIR)

SETTINGS = Lazy(
    KNOWN,
    lambda name: RuleSettings(name, STUDIES[name], CONFIG, CONFIG_DIR, STUDIES),
)
INPUTS = Lazy(KNOWN, lambda name: Inputs(SETTINGS[name]))

RESULTS = ResultsFolder(Path(CONFIG.results))
# Paths of a study as patterns; parameters take text only.
FOLDER = RESULTS.study("{study}")
SHEET, INDEX, FOLDS = str(FOLDER.sheet), str(FOLDER.index), str(FOLDER.folds)


wildcard_constraints:
    study="|".join(map(re.escape, KNOWN)),
    source="|".join(map(re.escape, KNOWN)),
    shard=r"\d{4}",
    split=r"all|fold-\d+",
    worker=r"\d+",
    model=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    representation=r"[A-Za-z0-9][A-Za-z0-9._-]*",


def log_of(rule, *wildcards):
    """Return the pattern of a rule's log."""
    return str(FOLDER.log(rule, [f"{{{name}}}" for name in wildcards]))


def benchmark_of(rule, *wildcards):
    """Return the pattern of a rule's benchmark."""
    return str(FOLDER.benchmark(rule, [f"{{{name}}}" for name in wildcards]))


def split_wildcards(wildcards):
    """Return the study, and the other wildcards by name."""
    values = dict(wildcards.items())
    return values.pop("study"), values


def settings_of(rule, *names):
    """Return the function that gives a job's settings as canonical JSON; `names` are the wildcards they depend on."""

    @cache
    def canonical(study, *arguments):
        return or_stop(lambda: getattr(SETTINGS[study], rule)(*arguments).canonical())

    def settings(wildcards):
        return canonical(wildcards.study, *(getattr(wildcards, name) for name in names))

    return signed(settings)


def inputs_of(rule, *untimed):
    """Return the function that gives a job's inputs by name.

    The `untimed` are tables that are read: that they changed shows in their manifests, which are inputs too.
    """

    def inputs(wildcards):
        study, values = split_wildcards(wildcards)
        files = or_stop(INPUTS[study].of, rule, values)
        return {
            name: [
                ancient(str(path)) if name in untimed else str(path) for path in paths
            ]
            for name, paths in files.items()
        }

    return signed(inputs)


def options_of(rule):
    """Return the function that gives arguments of a job's command that the study decides."""

    def options(wildcards):
        study, values = split_wildcards(wildcards)
        return INPUTS[study].options(rule, values)

    return signed(options)


def input_options_of(rule):
    """Return the same for arguments that name inputs, which Snakemake need not record as parameters too."""
    options = options_of(rule)
    return signed(lambda wildcards, input: options(wildcards))


@signed
def get_model_stores(wildcards):
    """Return the folder of the stores that a model trains on; the index says which shards there are."""
    return str(INPUTS[wildcards.study].stores(wildcards.model))


def get_targets():
    """Return every declared output, as a list: Snakemake loses the first item of a generator."""
    return [
        str(RESULTS.overview),
        *(
            str(path)
            for study in CONFIG.studies
            for job in jobs_of(SETTINGS[study])
            for path in job.outputs
        ),
    ]
