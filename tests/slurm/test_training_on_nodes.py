"""One model that trains on several nodes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.helpers.cluster_workspace import ClusterWorkspace
from tests.helpers.workspace import TINY, Workspace

pytestmark = pytest.mark.slurm

WEIGHTS = "results/tiny/models/shape-ae/fold-0/model.yaml"
TOLERANCE = 2e-4
"""Largest relative difference of a loss: sums of float32 in another order."""


def study(**training: Any) -> dict[str, Any]:
    model = TINY["models"]["shape-ae"]
    settings = {**model["training"], "epochs": 4, "batch_size": 30, **training}
    return {
        **TINY,
        "models": {**TINY["models"], "shape-ae": {**model, "objective": {"noise": 0}, "training": settings}},
    }


def losses(workspace: Workspace) -> pd.DataFrame:
    folder = workspace.folder / Path(WEIGHTS).parent
    return pd.read_csv(folder / "metrics.csv").filter(like="loss")


def test_two_nodes_have_the_loss_curve_of_one_process_and_one_of_them_writes(
    partly: ClusterWorkspace, finished: Workspace, tmp_path: Path
) -> None:
    quiet = finished.clone(tmp_path / "quiet")
    quiet.write_study(study())
    quiet.snakemake("--", WEIGHTS)
    partly.write_study(study(nodes=2))
    partly.run("--", WEIGHTS)
    (job,) = partly.jobs("rule_pretrain")
    assert (job.state, job.nodes) == ("COMPLETED", "node[1-2]")
    folder = partly.folder / Path(WEIGHTS).parent
    assert len(losses(partly)) == 4
    np.testing.assert_allclose(losses(partly), losses(quiet), rtol=TOLERANCE)
    assert len(list((folder / "tensorboard").rglob("events.*"))) == 1 + len(
        list((finished.folder / Path(WEIGHTS).parent / "tensorboard").rglob("events.*"))
    )
    card, quiet_card = (workspace.folder / WEIGHTS for workspace in (partly, quiet))
    kept = [line for line in card.read_text().splitlines() if "validation_loss" not in line]
    assert kept == [line for line in quiet_card.read_text().splitlines() if "validation_loss" not in line]


def test_a_process_that_dies_ends_the_training_and_the_next_attempt_goes_on(partly: ClusterWorkspace) -> None:
    partly.write_study(study(nodes=2, epochs=40, patience=40))
    run = partly.start("--", WEIGHTS)
    resume = partly.folder / Path(WEIGHTS).parent / "resume"
    partly.cluster.wait_for("the first training state", lambda: list(resume.glob("*/state.pt")))
    first = partly.process_of("pretrain")
    os.kill(first, signal.SIGKILL)
    run.wait()
    assert [job.state for job in partly.jobs("rule_pretrain")] == ["FAILED", "COMPLETED"]
    log = partly.folder / "results" / "logs" / "tiny" / "pretrain" / "shape-ae-fold-0.log"
    assert "continues at epoch" in log.read_text()
    assert len(losses(partly)) == 40
