"""Detect clocks that differ: Snakemake compares times of files to find what is newer."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

SKEW_S = 60.0
ADVICE = (
    "have the clocks of this machine, the nodes and the file server set (NTP). Nothing is lost, but what looks newer "
    "than its results may run again"
)


def skew_s(folder: Path) -> float:
    """Return the seconds by which the clock of the folder's file server is ahead of this machine's."""
    folder.mkdir(parents=True, exist_ok=True)
    before = time.time()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock.") as file:
        written = Path(file.name).stat().st_mtime
    # A file may take its time to be made: only what lies outside of it is a difference of clocks.
    return min(written - before, 0.0) + max(written - time.time(), 0.0)


def skew_warning(folder: Path) -> str | None:
    """Return a sentence if the clocks differ by more than a minute, or if nothing can be written there."""
    try:
        seconds = skew_s(folder)
    except OSError as error:
        return (
            f"nothing can be written to {folder} ({error.strerror}); make it writable, free space on its disk, "
            "or change `results`"
        )
    if abs(seconds) <= SKEW_S:
        return None
    way = "ahead of" if seconds > 0 else "behind"
    return f"the clock of the file server of {folder} is {abs(seconds):.0f} s {way} this machine's: {ADVICE}"
