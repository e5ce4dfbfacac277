from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from tests.helpers.studies import StudyOnDisk, image_settings
from tests.helpers.training import task_of

from phenoloom.artifacts import scratch as scratch_module
from phenoloom.artifacts.scratch import scratch_folder, staged_output, staged_stores
from phenoloom.core.errors import PhenoloomError
from phenoloom.data.study_input import staged_studies
from phenoloom.training.pretrain import pretrain


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file under a folder by its relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_shard(manifest: Path, text: str) -> None:
    """A store, a table and a manifest, as `convert` leaves them."""
    store = manifest.with_suffix(".zarr") / "images" / "c"
    store.mkdir(parents=True)
    (store / "0").write_text(text)
    manifest.with_suffix(".parquet").write_text(text)
    manifest.write_text(text)


def test_an_output_staged_on_scratch_is_the_one_written_in_its_place(tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.mkdir()
    for folder, scratch in (("direct", None), ("staged", local)):
        with staged_output(tmp_path / folder / "tiles" / "0000.json", scratch) as manifest:
            assert (local in manifest.parents) == (scratch is not None)
            write_shard(manifest, "content")
    assert digests(tmp_path / "staged") == digests(tmp_path / "direct")
    assert list(local.iterdir()) == []


def test_an_older_shard_is_gone_before_the_new_one_is_begun_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    local, manifest = tmp_path / "local", tmp_path / "tiles" / "0000.json"
    local.mkdir()
    manifest.parent.mkdir()
    write_shard(manifest, "old")

    def fail() -> None:
        with staged_output(manifest, local) as staged:
            assert list(manifest.parent.iterdir()) == []
            write_shard(staged, "new")
            raise PhenoloomError("broken")

    with pytest.raises(PhenoloomError, match="broken"):
        fail()
    assert list(manifest.parent.iterdir()) == []
    assert list(local.iterdir()) == []


def test_a_scratch_without_space_is_named_and_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = shutil.disk_usage(tmp_path).free
    manifest = tmp_path / "tiles" / "0000.json"
    with staged_output(manifest, tmp_path, free) as staged:
        assert staged == manifest
    assert "it is used where it is" in capsys.readouterr().err


def test_copies_of_stores_hold_the_same_bytes_and_are_removed(tmp_path: Path) -> None:
    study, local = StudyOnDisk(tmp_path / "study"), tmp_path / "local"
    local.mkdir()
    with staged_stores(study.tiles, local) as copies:
        assert [copy.name for copy in copies] == [path.name for path in study.tiles]
        for copy, original in zip(copies, study.tiles, strict=True):
            assert local in copy.parents
            assert copy.read_bytes() == original.read_bytes()
            assert digests(copy.with_suffix(".zarr")) == digests(original.with_suffix(".zarr"))
    assert list(local.iterdir()) == []


def test_a_model_trained_on_copies_is_the_same_model(tmp_path: Path) -> None:
    study, local = StudyOnDisk(tmp_path / "study"), tmp_path / "local"
    local.mkdir()
    for name, scratch in (("direct", None), ("staged", local)):
        with staged_studies([study.input()], scratch) as studies:
            pretrain(task_of(image_settings()), studies, tmp_path / name)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("direct", "staged")]
    assert weights[0] == weights[1]


def test_stores_stay_where_they_are_without_scratch(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path / "study")
    with staged_stores(study.tiles, None) as copies:
        assert copies == study.tiles


def _reader(stores: list[Path], local: Path, entered: Event, leave: Event) -> None:
    with staged_stores(stores, local):
        entered.set()
        leave.wait()


def test_jobs_of_one_machine_share_a_copy_until_the_last_one_ends(tmp_path: Path) -> None:
    study, local = StudyOnDisk(tmp_path / "study"), tmp_path / "local"
    local.mkdir()
    context = multiprocessing.get_context("fork")
    entered, leave = context.Event(), context.Event()
    other = context.Process(target=_reader, args=(study.tiles, local, entered, leave), daemon=True)
    other.start()
    entered.wait()
    inode = next(local.rglob("tiles/0000.json")).stat().st_ino
    with staged_stores(study.tiles, local) as copies:
        assert copies[0].stat().st_ino == inode
    assert copies[0].exists()
    leave.set()
    other.join()
    assert list(local.iterdir()) == []


def test_a_copy_that_a_kill_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, local = StudyOnDisk(tmp_path / "study"), tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr(scratch_module, "_release", lambda lock, folder: os.close(lock))
    with staged_stores(study.tiles, local) as copies:
        pass
    copies[0].unlink()
    broken = next(path for path in copies[0].with_suffix(".zarr").rglob("*") if path.is_file())
    broken.write_bytes(b"half")
    with staged_stores(study.tiles, local) as copies:
        assert digests(copies[0].with_suffix(".zarr")) == digests(study.tiles[0].with_suffix(".zarr"))


def test_another_content_is_another_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, local = StudyOnDisk(tmp_path / "study"), tmp_path / "local"
    local.mkdir()
    with staged_stores(study.tiles, local) as before:
        manifest = study.tiles[0].read_text()
        study.tiles[0].write_text(manifest.replace('"content": "', '"content": "0'))
        with staged_stores(study.tiles, local) as after:
            assert before[0] != after[0]


def test_variables_of_the_node_are_replaced_and_missing_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DISK", str(tmp_path))
    monkeypatch.delenv("NO_DISK", raising=False)
    assert scratch_folder("") is None
    assert scratch_folder("$LOCAL_DISK") == tmp_path
    with pytest.raises(PhenoloomError, match=r"\$NO_DISK is not set"):
        scratch_folder("$NO_DISK/x")
    with pytest.raises(PhenoloomError, match="there is no folder"):
        scratch_folder(str(tmp_path / "nowhere"))
