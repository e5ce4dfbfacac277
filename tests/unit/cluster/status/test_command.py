from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.helpers.status import CONFIG, queued, stand, write

from phenoloom.artifacts.jobs import jobs_of
from phenoloom.cli.main import main
from phenoloom.cluster.status import rerun, status
from phenoloom.cluster.status.command import page
from phenoloom.cluster.status.run import Run
from phenoloom.config import RuleSettings, load_config, load_study


def test_the_page_says_counts_failures_queue_and_notes(results: Path) -> None:
    write(results / "logs/demo/convert/0001.log", "phenoloom convert: the disk is on fire\n")
    run = Run(results.parent, jobs=(queued("rule_embed_wildcards_demo_vqvae_fold-0", "PENDING", "31"),))
    shown = "\n".join(page([stand(results, run)], run, ["the clock is wrong"]))
    assert "  convert         1/2" in shown
    assert "failed: demo convert 0001: the disk is on fire" in shown
    assert "      31 pending    embed: demo_vqvae_fold-0" in shown
    assert "note: the clock is wrong" in shown


def all_done(results: Path) -> str:
    """The last line of the table of a study with all its outputs."""
    settings = RuleSettings("demo", load_study("demo", CONFIG), load_config({"results": str(results)}), CONFIG)
    jobs = len(list(jobs_of(settings)))
    return f"total          {jobs}/{jobs}"


def test_the_command_counts_a_finished_study_and_asks_nothing_of_snakemake(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(results.parent)
    assert status(["demo"], [], CONFIG, planned=False, as_json=False)
    assert all_done(results) in capsys.readouterr().out
    (results / "demo" / "tiles/0000.json").unlink()
    write(results / "logs/demo/convert/0000.log", "phenoloom convert: the disk is on fire\n")
    assert not status(["demo"], [], CONFIG, planned=False, as_json=True)
    assert '"done": 1' in capsys.readouterr().out


def test_what_a_command_line_replaces_holds_for_the_plan_of_a_rerun_too(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(rerun.subprocess, "run", answer)
    folder = results.parent / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["status", "demo", "--config-dir", str(CONFIG), "--config", f"results={results}", "data_root=/d"]) == 0
    (command,) = [command for command in asked if "snakemake" in command]
    assert command[-4:] == ["--config", f"results={results}", "data_root=/d", "studies=[demo]"]
    printed = capsys.readouterr().out
    assert all_done(results) in printed
    assert f"With --config results={results} data_root=/d, a rerun has nothing to do." in printed
