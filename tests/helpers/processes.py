"""Processes of this host, as /proc shows them."""

from __future__ import annotations

import os
from pathlib import Path


def pids() -> list[int]:
    """All processes."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def command(pid: int) -> str:
    """Name of a live process; empty for one that is gone or only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    name, _, rest = text.partition("(")[2].rpartition(")")
    return "" if rest.split()[0] == "Z" else name


def environment(pid: int) -> list[bytes]:
    """`NAME=value` entries a process was started with; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def arguments(pid: int) -> list[str]:
    """Command line of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def open_files(pid: int) -> set[str]:
    """Paths that a process holds open."""
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(entry.readlink()))
    except OSError:
        pass
    return found


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone needs none."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def reap(pid: int) -> None:
    """Take note of the end of a child of this process."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        pass
