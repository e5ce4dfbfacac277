"""Record how busy a GPU was while something used it; Snakemake measures processors and memory only."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from .atomic import write_atomically

INTERVAL_S = 1.0


@dataclass(frozen=True)
class DeviceUse:
    """Use of one GPU.

    Attributes:
        name: Name of the GPU.
        busy: Share of the time in which it computed, 0 to 1; None where the driver does not say.
        memory_mb: The most memory that torch held, in MB.
        memory_total_mb: All of its memory, in MB.
    """

    name: str
    busy: float | None
    memory_mb: float
    memory_total_mb: float


@contextmanager
def recorded_use(device: torch.device, output: Path) -> Iterator[None]:
    """Record the use of a device: ask the driver once a second while the body runs, then write a `DeviceUse` as JSON.

    A job that continues an earlier one records its own part of the time. Nothing is written for a CPU.

    Args:
        device: Device that the body uses.
        output: Where the record is written; what is there is removed first.
    """
    output.unlink(missing_ok=True)
    if device.type != "cuda":
        yield
        return
    torch.cuda.reset_peak_memory_stats(device)
    ended, shares = threading.Event(), list[float]()
    watcher = threading.Thread(target=_watch, args=(ended, shares, lambda: torch.cuda.utilization(device)), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    properties = torch.cuda.get_device_properties(device)
    use = DeviceUse(
        properties.name,
        sum(shares) / len(shares) / 100 if shares else None,
        torch.cuda.max_memory_reserved(device) / 2**20,
        properties.total_memory / 2**20,
    )
    write_atomically(output, lambda file: file.write(json.dumps(asdict(use)).encode()))


def _watch(ended: threading.Event, shares: list[float], share: Callable[[], int]) -> None:
    while not ended.wait(INTERVAL_S):
        try:
            shares.append(float(share()))
        except Exception as error:  # noqa: BLE001 - NVML's errors share no base but this; no figure is worth a training
            print(f"phenoloom: warning: the driver does not say how busy the GPU is ({error})", file=sys.stderr)
            return
