from __future__ import annotations

import pytest

from phenoloom.config.hardware import Hardware
from phenoloom.config.training import Training


def test_hardware_is_what_the_training_section_asks_for() -> None:
    assert Hardware.of(Training(nodes=2, devices=4, accelerator="cpu", threads=3)) == Hardware(2, 4, "cpu", 3)


@pytest.mark.parametrize(("nodes", "devices", "task"), [(1, 1, 3), (1, 4, 12), (2, 4, 3)])
def test_a_task_has_the_threads_of_the_processes_that_it_starts(nodes: int, devices: int, task: int) -> None:
    hardware = Hardware(nodes, devices, threads=3)
    assert hardware.processes == nodes * devices
    assert hardware.threads_of_task == task
    assert hardware.spans_nodes == (nodes == 2)
    assert hardware.single_process() == Hardware(threads=3)


def test_only_a_training_on_processors_wants_no_gpu() -> None:
    assert [Hardware(accelerator=name).wants_gpu for name in ("auto", "gpu", "cpu")] == [True, True, False]
