"""States of a training on a disk that is full or gives back something else."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from phenoloom.core.errors import PhenoloomError
from phenoloom.embedding import inference as encode
from phenoloom.training.resume import ResumeFolder


@pytest.fixture
def files_of_64_kb() -> Iterator[None]:
    """No file may grow further, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_state_that_does_not_fit_on_the_disk_is_named_by_its_path_and_leaves_the_last_one(
    tmp_path: Path, files_of_64_kb: None
) -> None:
    folder = ResumeFolder(tmp_path, "digest", "data")
    folder.save({"weights": torch.zeros(8)})
    kept = folder.path.read_bytes()
    with pytest.raises(OSError, match="No space left on device") as caught:
        folder.save({"weights": torch.rand(1 << 16)})
    assert caught.value.filename == str(folder.path)
    assert folder.path.read_bytes() == kept
    assert [path.name for path in folder.folder.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\3\4 cut off"])
def test_a_damaged_state_is_said_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    folder = ResumeFolder(tmp_path, "digest", "data")
    folder.save({"weights": torch.zeros(8)})
    folder.path.write_bytes(content)
    with pytest.raises(PhenoloomError, match=r"state\.pt is damaged .*delete it, and training starts anew"):
        folder.load()


def test_vectors_on_disk_have_their_space_before_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, start: int, nbytes: int) -> None:
        assert (start, nbytes) == (0, 1000 * 10 * 4)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    values = encode._on_disk(tmp_path, (1000, 10))
    values[:] = 1
    assert np.array_equal(values, np.ones((1000, 10), np.float32))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device"):
        encode._on_disk(tmp_path, (1000, 10))
