"""The processes and devices of one training: requested by the workflow, and used by the launcher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .training import Training

Accelerator = Literal["auto", "gpu", "cpu"]


@dataclass(frozen=True)
class Hardware:
    """The processes that train one model together, and their devices. No result depends on it, except by rounding.

    Attributes:
        nodes: Machines.
        devices: Processes on each machine, with a GPU each where there are GPUs.
        accelerator: `auto` takes a GPU where there is one, `gpu` stops where there is none, `cpu` takes none.
        threads: Processor threads of a process; the training decodes ahead with as many.
    """

    nodes: int = 1
    devices: int = 1
    accelerator: Accelerator = "auto"
    threads: int = 1

    @classmethod
    def of(cls, training: Training) -> Hardware:
        """Return the hardware that the section `training` of a model asks for."""
        return cls(training.nodes, training.devices, training.accelerator, training.threads)

    @property
    def processes(self) -> int:
        """Return the number of processes over all machines."""
        return self.nodes * self.devices

    @property
    def wants_gpu(self) -> bool:
        """Return whether a GPU is requested where there is one."""
        return self.accelerator != "cpu"

    @property
    def spans_nodes(self) -> bool:
        """Return whether the processes run on several machines, where only srun can start them."""
        return self.nodes > 1

    @property
    def threads_of_task(self) -> int:
        """Return the threads of one task of the cluster.

        A task is a single process where srun starts all of them; on one machine the first process starts the others
        in its own task.
        """
        return self.threads if self.spans_nodes else self.threads * self.devices

    def single_process(self) -> Hardware:
        """Return the hardware of one of the processes alone, as a trial of a search uses it."""
        return replace(self, nodes=1, devices=1)
