"""How a result was made: digest of the settings, release and commit of the code."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol


@cache
def code_commit() -> str | None:
    """Return the git commit of the running code, from its checkout or its wheel; None if neither knows it."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A virtual environment may lie in somebody else's checkout.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        # Not a checkout, or a machine without git, as containers are.
        built = here.parent / "commit.txt"
        return built.read_text(encoding="utf-8").strip() if built.exists() else None


class RecordedSettings(Protocol):
    """Settings of one rule, as `config.rule_settings.Settings` has them."""

    @property
    def study(self) -> str:
        """Return the name of the study."""

    def digest(self) -> str:
        """Return the sha256 of the canonical text of the settings, as hex."""

    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]:
        """Return the settings as values of JSON."""


@dataclass(frozen=True)
class Provenance:
    """Origin of a result: the study, and the settings of the step with their sha256."""

    study: str
    settings: Mapping[str, Any]
    settings_sha256: str

    @classmethod
    def of(cls, settings: RecordedSettings) -> Provenance:
        """Return the provenance of what is made with the settings of a rule."""
        return cls(settings.study, settings.model_dump(mode="json"), settings.digest())

    def record(self) -> dict[str, str | None]:
        """Return what every result states: digest of the settings, release and commit of the code."""
        return {
            "settings_sha256": self.settings_sha256,
            "phenoloom": version("phenoloom"),
            "commit": code_commit(),
        }
