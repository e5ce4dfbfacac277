"""Ask Snakemake's own plan what a rerun would start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PLAN_S = 600.0


def rerun(folder: Path, studies: Sequence[str], pairs: Sequence[str] = ()) -> dict[str, int] | str:
    """Return the number of jobs by rule, or a sentence why it is not known.

    Args:
        folder: where Snakemake runs.
        studies: names of the studies.
        pairs: `KEY=VALUE` texts that replace keys of config.yaml.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--nolock"]
    command += ["--config", *pairs, f"studies=[{','.join(studies)}]"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PLAN_S, check=False)
    except subprocess.TimeoutExpired:
        return f"What a rerun would do is not known: the plan took longer than {PLAN_S:.0f} s."
    printed = done.stdout + done.stderr
    if done.returncode:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        return f"Snakemake cannot plan a rerun: {lines[-1] if lines else 'it said nothing'}"
    table = re.search(r"^-+ +-+\n(.*?)^total", printed, re.MULTILINE | re.DOTALL)
    rows = (line.split() for line in table[1].splitlines()) if table else ()
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[0] != "all"}
