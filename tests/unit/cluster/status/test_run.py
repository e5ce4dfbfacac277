from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.status import fake_command, write

from phenoloom.cluster.status.run import find_run


def test_jobs_of_other_folders_and_programs_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        f"5\\tphenoloom_a\\tRUNNING\\trule_index\\t{tmp_path}\\tNone",
        "6\\tphenoloom_b\\tRUNNING\\trule_index\\t/elsewhere\\tNone",
        f"7\\tmine\\tRUNNING\\tnote\\t{tmp_path}\\tNone",
    ]
    fake_command(tmp_path / "bin", "squeue", "printf '" + "\\n".join(rows) + "\\n'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert [job.job_id for job in find_run(tmp_path).jobs] == ["5"]


@pytest.mark.parametrize(("options", "lives"), [([], True), (["--mode", "remote"], False)])
def test_only_a_snakemake_that_submits_is_a_run(tmp_path: Path, options: list[str], lives: bool) -> None:
    program = write(tmp_path / "snakemake", "import sys; print(flush=True); sys.stdin.read()\n")
    command = [sys.executable, str(program), *options]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert find_run(tmp_path).live == lives
        assert not find_run(tmp_path.parent).live
        process.communicate()
