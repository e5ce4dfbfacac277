from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.status import CONFIG, queued, stand, write

from phenoloom.cluster.status import status
from phenoloom.cluster.status.command import page
from phenoloom.cluster.status.run import Run


def test_the_page_says_counts_failures_queue_and_notes(results: Path) -> None:
    write(results / "logs/demo/convert/0001.log", "phenoloom convert: the disk is on fire\n")
    run = Run(results.parent, jobs=(queued("rule_embed_wildcards_demo_vqvae_fold-0", "PENDING", "31"),))
    shown = "\n".join(page([stand(results, run)], run, ["the clock is wrong"]))
    assert "  convert         1/2" in shown
    assert "failed: demo convert 0001: the disk is on fire" in shown
    assert "      31 pending    embed: demo_vqvae_fold-0" in shown
    assert "note: the clock is wrong" in shown


def test_the_command_counts_a_finished_study_and_asks_nothing_of_snakemake(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(results.parent)
    assert status(["demo"], [], CONFIG, planned=False, as_json=False)
    assert "total          48/48" in capsys.readouterr().out
    (results / "demo" / "tiles/0000.json").unlink()
    write(results / "logs/demo/convert/0000.log", "phenoloom convert: the disk is on fire\n")
    assert not status(["demo"], [], CONFIG, planned=False, as_json=True)
    assert '"done": 1' in capsys.readouterr().out
