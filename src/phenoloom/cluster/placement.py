"""Where jobs run: partition, GPUs, nodes and tasks of a cluster, and the options of commands that follow from it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..artifacts.inputs import Inputs
from ..config.hardware import Hardware
from ..config.training import Training
from ..core.errors import PhenoloomError
from .demands import follows_contours


@dataclass(frozen=True)
class Site:
    """The cluster, as the `default-resources` of a profile describe it.

    Attributes:
        partition: where jobs go; None: the cluster's default partition.
        gpu_partition: where jobs with a GPU go; None: `partition`.
        gpu_kind: type of GPU, where the site wants it named.
    """

    partition: str | None = None
    gpu_partition: str | None = None
    gpu_kind: str | None = None


class Placement(NamedTuple):
    """Resources of a job by the names that the executor gives them; None: not asked for."""

    slurm_partition: str | None
    gpu: int | None
    gpu_model: str | None
    gres: str | None
    mpi: str | None
    nodes: int | None
    tasks: int | None
    tasks_per_gpu: int | None


def embedding_hardware(study: Inputs, representation: str) -> Hardware:
    """Return where a representation is computed: descriptors need no GPU, nor do networks along the contour."""
    entry = study.settings.study.representations[representation]
    if entry.model is None or follows_contours(study, representation):
        return Hardware(accelerator="cpu")
    return Hardware(accelerator=study.model(entry.model).training.accelerator)


def placement(hardware: Hardware, site: Site) -> Placement:
    """Return the resources of a job on `hardware`.

    On one node GPUs are asked for by number. On several they are asked for by node, because a sum over nodes could be
    placed unevenly, and srun starts the processes.
    """
    on_gpu, several = hardware.wants_gpu, hardware.spans_nodes
    gpus = hardware.devices if on_gpu and not several else None
    kind = [site.gpu_kind] if site.gpu_kind else []
    return Placement(
        slurm_partition=(on_gpu and site.gpu_partition) or site.partition,
        gpu=gpus,
        gpu_model=site.gpu_kind if gpus else None,
        gres=":".join(["gpu", *kind, str(hardware.devices)]) if on_gpu and several else None,
        mpi="srun" if several else None,
        nodes=hardware.nodes if several else None,
        tasks=hardware.processes if several else None,
        tasks_per_gpu=0 if several else None,
    )


def launcher(model: str, hardware: Hardware, *, in_container: bool) -> str:
    """Return the program that starts the command: `env`, or srun, which ends all processes when one fails.

    Args:
        model: Name of the model, for messages.
        hardware: The processes of the training.
        in_container: Whether the job runs in a container, which has no srun.

    Raises:
        PhenoloomError: The training needs several nodes and runs in a container.
    """
    if not hardware.spans_nodes:
        return "env"
    if in_container:
        raise PhenoloomError(
            f"model {model} trains on {hardware.nodes} nodes (training.nodes), and srun, which starts it there, "
            "is not in the container; run without `--sdm apptainer`, or set training.nodes to 1"
        )
    return (
        f"srun --nodes={hardware.nodes} --ntasks-per-node={hardware.devices} --cpus-per-task={hardware.threads} "
        "--kill-on-bad-exit=1"
    )


def trial_options(training: Training) -> str:
    """Return the options of a trial that no result depends on: its device, how it computes, when it has collapsed."""
    floors = training.collapse
    flags = "".join(
        f" --{name.replace('_', '-')}" for name in ("compile", "gradient_checkpointing") if getattr(training, name)
    )
    return (
        f"--accelerator {training.accelerator}{flags} "
        f"--collapse-epochs {floors.epochs} --least-rank {floors.least_rank} --least-spread {floors.least_spread} "
        f"--least-information {floors.least_information}"
    )


def training_options(training: Training, chosen: Sequence[Path]) -> str:
    """Return the options of a training that no result depends on.

    What a search has `chosen` is an input of the job; the option says only where it is.
    """
    paths = "".join(f" --chosen {shlex.quote(str(path))}" for path in chosen)
    return f"--nodes {training.nodes} --devices {training.devices} {trial_options(training)}{paths}"
