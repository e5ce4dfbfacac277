"""GPUs, nodes, partitions and environments of jobs, each from one value of hardware; no rules."""

import shlex

from snakemake.settings.types import DeploymentMethod

from phenoloom.cluster.placement import (
    Site,
    embedding_hardware,
    launcher,
    placement,
    training_options,
    trial_options,
)
from phenoloom.config.hardware import Hardware

SITE = Site(*map(get_site_default, ("slurm_partition", "gpu_partition", "gpu_kind")))
IN_CONTAINER = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)

# The option for a disk of the node's own; its variables are replaced on the node.
STAGING = f"--scratch={shlex.quote(CONFIG.scratch)}"


def get_training(wildcards):
    """Return how and where a model trains."""
    return INPUTS[wildcards.study].model(wildcards.model).training


def get_training_hardware(wildcards):
    """Return where a model trains."""
    return Hardware.of(get_training(wildcards))


def get_trial_hardware(wildcards):
    """Return where a trial of a search trains: in one process."""
    return get_training_hardware(wildcards).single_process()


def get_embedding_hardware(wildcards):
    """Return where a representation is computed."""
    return embedding_hardware(INPUTS[wildcards.study], wildcards.representation)


def placed(hardware, resource):
    """Return the function that gives one resource of a job on `hardware`; see `Placement`."""
    return signed(
        lambda wildcards: getattr(placement(hardware(wildcards), SITE), resource)
    )


def threads_of(hardware):
    """Return the function that gives the threads of a task."""
    return signed(lambda wildcards: hardware(wildcards).threads_of_task)


def environment_of(hardware):
    """Return the function that gives the conda environment: only what may use a GPU needs torch's build for it."""

    def environment(wildcards):
        on_gpu = CONFIG.gpu_environment and hardware(wildcards).wants_gpu
        return f"../../envs/{'gpu' if on_gpu else 'cpu'}.yaml"

    return signed(environment)


@signed
def get_launcher(wildcards):
    """Return what precedes the command of a training."""
    return or_stop(
        lambda: launcher(
            wildcards.model,
            get_training_hardware(wildcards),
            in_container=IN_CONTAINER,
        )
    )


@signed
def get_training_options(wildcards):
    """Return the options of a training that no result depends on."""
    study = INPUTS[wildcards.study]
    return training_options(
        get_training(wildcards), study.chosen(wildcards.model, wildcards.split)
    )


@signed
def get_trial_options(wildcards):
    """Return the options of a trial that no result depends on."""
    return trial_options(get_training(wildcards))


@signed
def get_workers(wildcards):
    """Return the number of jobs that share the trials of a search."""
    return INPUTS[wildcards.study].model(wildcards.model).tune.workers
