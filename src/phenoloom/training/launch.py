"""The processes of one training: one alone, several on one machine, or several on nodes of a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta

import torch
from pytorch_lightning.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy

from ..config.hardware import Accelerator, Hardware
from ..core.errors import PhenoloomError

LOST_AFTER = timedelta(minutes=30)
"""A process that sends nothing for this long is lost; the others end, and the job with them."""


def environment(hardware: Hardware, variables: Mapping[str, str] = os.environ) -> ClusterEnvironment:
    """Return how the processes are started: all of them by srun, or on one machine by the first of them.

    Raises:
        PhenoloomError: srun started another number of processes, each of which would train a model of its own.
    """
    tasks = variables.get("SLURM_STEP_NUM_TASKS") if "SLURM_PROCID" in variables else None
    if hardware.processes > 1 and tasks == str(hardware.processes):
        # Snakemake owns retries; a job that SLURM queues again behind its back would run twice.
        return SLURMEnvironment(auto_requeue=False)
    if hardware.spans_nodes or (hardware.processes > 1 and tasks not in (None, "1")):
        found = f"{tasks} were" if tasks else "no srun was"
        raise PhenoloomError(
            f"training.nodes {hardware.nodes} x training.devices {hardware.devices} needs {hardware.processes} "
            f"processes started by srun, and {found} found; put `srun --nodes={hardware.nodes} "
            f"--ntasks-per-node={hardware.devices}` in front of the command, or set both to 1"
        )
    # One task a job: SLURM's variables would make Lightning wait for others, and queue the job again.
    return LightningEnvironment()


def process_rank(hardware: Hardware, variables: Mapping[str, str] = os.environ) -> int:
    """Return the number of this process; process 0 is the one that writes."""
    if hardware.processes == 1:
        return 0
    if isinstance(environment(hardware, variables), SLURMEnvironment):
        return int(variables["SLURM_PROCID"])
    return int(variables.get("LOCAL_RANK", "0"))


def strategy(hardware: Hardware, device: torch.device) -> DDPStrategy | str:
    """Return Lightning's strategy for these processes."""
    if hardware.processes == 1:
        return "auto"
    backend = "nccl" if device.type == "cuda" else "gloo"
    # Batch norms and codebooks are kept equal where they are computed, so that no buffer needs to be sent.
    return DDPStrategy(process_group_backend=backend, broadcast_buffers=False, timeout=LOST_AFTER)


def training_device(
    accelerator: Accelerator, local: int = 0, variables: Mapping[str, str] = os.environ
) -> torch.device:
    """Return the device of a training process.

    Where no GPU can be used, `auto` says so on standard error and trains on processors.

    Args:
        accelerator: `gpu` demands a GPU.
        local: Number of the process on its machine.
        variables: The environment.

    Raises:
        PhenoloomError: A GPU is demanded, and none can be used.
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", local % torch.cuda.device_count())
    given = variables.get("CUDA_VISIBLE_DEVICES", "")
    found = f"torch {torch.__version__} can use none (CUDA_VISIBLE_DEVICES is {given!r})"
    if accelerator == "gpu":
        raise PhenoloomError(
            f"training.accelerator is `gpu` and {found}; run where there is a GPU and a CUDA build of torch, or set it "
            "to `auto` or `cpu`"
        )
    if given not in ("", "-1"):
        print(f"this job was given a GPU, but {found}; it trains on processors, slowly", file=sys.stderr)
    return torch.device("cpu")
