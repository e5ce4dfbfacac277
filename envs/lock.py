"""Write the pinned environments from what is installed: the pip lock, and two conda files with the same versions."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ENVS = Path(__file__).resolve().parent
HEADER = "# Written by `make lock` from the environment that passed the tests; not edited by hand.\n"
# The environment's own tools are not part of it.
NOT_LOCKED = {"phenoloom", "pip", "setuptools", "wheel"}


def canonical(name: str) -> str:
    """A package's name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Version by package; a build's local part (`+cpu`) is left out, so that the same lock serves every device."""
    found = {canonical(d.metadata["Name"]): d.version.partition("+")[0] for d in distributions()}
    return {name: found[name] for name in sorted(found) if name not in NOT_LOCKED}


def lock_text(versions: dict[str, str]) -> str:
    """Text of the pip lock, without hashes: torch has several builds of one version."""
    return HEADER + "".join(f"{name}=={version}\n" for name, version in versions.items())


def conda_text(versions: dict[str, str], device: str) -> str:
    """Text of the conda environment for `cpu` or `gpu`: torch from conda-forge, all else pinned like the lock."""
    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *optional["slurm"], *optional["export"]]
    names = sorted(canonical(re.split(r"[<>=!~\[ ]", requirement)[0]) for requirement in wanted)
    lines = [
        f"name: phenoloom-{device}",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        f"  - pytorch-{device}={versions['torch']}",
        "  - pip:",
        *(f"      - {name}=={versions[name]}" for name in names if name != "torch"),
    ]
    return HEADER + "\n".join(lines) + "\n"


def texts(versions: dict[str, str]) -> dict[str, str]:
    """Every pinned file's text by name."""
    return {
        "requirements.lock": lock_text(versions),
        "cpu.yaml": conda_text(versions, "cpu"),
        "gpu.yaml": conda_text(versions, "gpu"),
    }


def main() -> int:
    """Write all files."""
    for name, text in texts(installed()).items():
        (ENVS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
