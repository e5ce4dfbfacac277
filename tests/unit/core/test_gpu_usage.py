from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from phenoloom.core import gpu_usage as device_use
from phenoloom.core.gpu_usage import recorded_use

GPU = torch.device("cuda", 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU of 80 GB that answers 100, 50, 100, 50, ... %; the list grows with each question."""
    questions: list[int] = []

    def utilization(device: torch.device) -> int:
        questions.append(100 if len(questions) % 2 == 0 else 50)
        return questions[-1]

    properties = SimpleNamespace(name="Made-up GPU", total_memory=80 * 2**30)
    monkeypatch.setattr(device_use, "INTERVAL_S", 0.001)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    return questions


def wait_for(questions: list[int], count: int) -> None:
    while len(questions) < count:
        torch.zeros(1)


def test_the_mean_of_what_the_driver_said_is_written_with_the_memory(asked: list[int], tmp_path: Path) -> None:
    with recorded_use(GPU, tmp_path / "device.json"):
        wait_for(asked, 10)
    use = json.loads((tmp_path / "device.json").read_text())
    assert use["busy"] == pytest.approx(sum(asked) / len(asked) / 100)
    assert (use["name"], use["memory_mb"], use["memory_total_mb"]) == ("Made-up GPU", 3072, 81920)


def test_a_training_that_fails_still_fails_and_leaves_no_figure(asked: list[int], tmp_path: Path) -> None:
    (tmp_path / "device.json").write_text("of an earlier run")
    with pytest.raises(ValueError, match="training"), recorded_use(GPU, tmp_path / "device.json"):
        raise ValueError("training")
    assert not (tmp_path / "device.json").exists()


def test_a_driver_that_gives_no_load_leaves_the_rest(
    asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(device: torch.device) -> int:
        asked.append(0)
        raise RuntimeError("not supported")

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    with recorded_use(GPU, tmp_path / "device.json"):
        wait_for(asked, 1)
    assert json.loads((tmp_path / "device.json").read_text())["busy"] is None
    assert "(not supported)" in capsys.readouterr().err


def test_a_cpu_has_no_such_file(tmp_path: Path) -> None:
    with recorded_use(torch.device("cpu"), tmp_path / "device.json"):
        pass
    assert list(tmp_path.iterdir()) == []
