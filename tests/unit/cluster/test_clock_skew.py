from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from phenoloom.cluster.clock_skew import skew_s, skew_warning


def test_a_file_server_on_this_machine_has_its_clock(tmp_path: Path) -> None:
    assert skew_s(tmp_path / "results") == pytest.approx(0, abs=0.1)
    assert skew_warning(tmp_path / "results") is None
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize(("offset", "way"), [(7200.0, "behind"), (-7200.0, "ahead of")])
def test_a_clock_two_hours_off_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: float, way: str
) -> None:
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + offset)
    warning = skew_warning(tmp_path)
    assert warning
    assert f"is 7200 s {way} this machine's" in warning
    assert "NTP" in warning


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    warning = skew_warning(tmp_path / "results")
    assert warning
    assert warning.startswith(f"nothing can be written to {tmp_path / 'results'} (")


def test_a_full_disk_is_warned_of_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    warning = skew_warning(tmp_path)
    assert warning is not None
    assert "No space left on device" in warning
    assert "free space on its disk" in warning
