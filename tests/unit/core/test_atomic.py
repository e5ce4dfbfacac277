from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from phenoloom.core.atomic import atomic_path, remove_leftovers

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from phenoloom.core.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_while_writing(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert any(path.parent.glob(".*"))


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text("old")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["table"]
    assert path.read_text() == "old"


def test_a_new_file_can_be_read_by_the_group_as_the_umask_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_path(tmp_path / "atomic") as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE((tmp_path / "atomic").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("name", ["table.parquet", "[a] b?.parquet"])
def test_a_rerun_removes_what_a_killed_write_left_and_nothing_else(tmp_path: Path, name: str) -> None:
    path, others = tmp_path / name, {".other.12345678", f".{name}.steps", "a.parquet"}
    for other in others:
        (tmp_path / other).touch()
    kill_while_writing(path)
    kill_while_writing(path)
    assert len(list(tmp_path.iterdir())) == len(others) + 1
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert {file.name for file in tmp_path.iterdir()} == {name, *others}
    assert path.read_text() == "whole"


def test_leftovers_are_the_file_and_what_a_killed_write_left(tmp_path: Path) -> None:
    path = tmp_path / "table"
    kill_while_writing(path)
    path.touch()
    remove_leftovers(path)
    assert list(tmp_path.iterdir()) == []
