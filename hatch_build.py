"""The commit of the code goes into a wheel, so that results of an installed phenoloom name it too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMMIT = "src/phenoloom/commit.txt"


class CommitHook(BuildHookInterface):
    """Writes `phenoloom/commit.txt`; `-modified` is added where the code differs from the commit."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Leave an editable installation alone: it reads its checkout."""
        if self.target_name != "wheel" or version == "editable":
            return
        commit = self._git("rev-parse", "HEAD")
        if commit and self._git("status", "--porcelain", "--untracked-files=no", "--", "src"):
            commit += "-modified"
        # An image is built without the history.
        commit = commit or os.environ.get("PHENOLOOM_COMMIT", "")
        if commit:
            Path(self.root, COMMIT).write_text(f"{commit}\n", encoding="utf-8")
            build_data["force_include"][str(Path(self.root, COMMIT))] = "phenoloom/commit.txt"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what `initialize` wrote."""
        Path(self.root, COMMIT).unlink(missing_ok=True)

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", self.root, *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
