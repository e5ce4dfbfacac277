"""How the processes of one training come to be: one alone, several on one machine, or several on nodes of a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch
from pytorch_lightning.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy

from ..core.errors import PhenoloomError

LOST_AFTER = timedelta(minutes=30)
"""A process that says nothing for so long is lost; the others end, and the job with them."""


@dataclass(frozen=True)
class World:
    """`nodes` machines with `devices` processes each; a process has one GPU where there are GPUs."""

    nodes: int = 1
    devices: int = 1

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.nodes * self.devices

    def environment(self, variables: Mapping[str, str] = os.environ) -> ClusterEnvironment:
        """How the processes come to be: all started by srun, or on one machine by the first of them.

        Raises PhenoloomError where srun started another number of processes: each would train a model of its own.
        """
        tasks = variables.get("SLURM_STEP_NUM_TASKS") if "SLURM_PROCID" in variables else None
        if self.size > 1 and tasks == str(self.size):
            # Snakemake owns retries; a job that SLURM queues again behind its back would run twice.
            return SLURMEnvironment(auto_requeue=False)
        if self.nodes > 1 or (self.size > 1 and tasks not in (None, "1")):
            found = f"{tasks} were" if tasks else "no srun was"
            raise PhenoloomError(
                f"training.nodes {self.nodes} x training.devices {self.devices} needs {self.size} processes started by "
                f"srun, and {found} found; put `srun --nodes={self.nodes} --ntasks-per-node={self.devices}` in front "
                "of the command, or set both to 1"
            )
        # One task a job: SLURM's variables would make Lightning wait for others, and queue the job again.
        return LightningEnvironment()

    def rank(self, variables: Mapping[str, str] = os.environ) -> int:
        """Number of this process; 0 is the one that writes."""
        if self.size == 1:
            return 0
        if isinstance(self.environment(variables), SLURMEnvironment):
            return int(variables["SLURM_PROCID"])
        return int(variables.get("LOCAL_RANK", "0"))

    def strategy(self, device: torch.device) -> DDPStrategy | str:
        """Lightning's way of training in this world."""
        if self.size == 1:
            return "auto"
        backend = "nccl" if device.type == "cuda" else "gloo"
        # Batch norms and codebooks are kept equal where they are computed, so that no buffer needs to be sent.
        return DDPStrategy(process_group_backend=backend, broadcast_buffers=False, timeout=LOST_AFTER)


ALONE = World()


def training_device(accelerator: str, local: int = 0, variables: Mapping[str, str] = os.environ) -> torch.device:
    """The device of a training process, `local` being its number on its machine.

    Raises PhenoloomError where a GPU is demanded and none can be used; `auto` says so and trains on processors.
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
        print(f"this job was given a GPU, but {found}; training goes on on processors, slowly", file=sys.stderr)
    return torch.device("cpu")
