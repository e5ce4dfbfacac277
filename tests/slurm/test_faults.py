"""What clusters do to jobs, done to ours; afterwards every result is that of a quiet run."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from tests.helpers import processes
from tests.helpers.cluster_workspace import ClusterWorkspace, contents, wait_until
from tests.helpers.slurm_cluster import Cluster
from tests.helpers.workspace import TINY, Workspace

pytestmark = pytest.mark.slurm

EPOCHS = 30
CONVERT = ("--", "results/tiny/tiles/0000.json", "results/tiny/tiles/0001.json")
UP_TO_WEIGHTS = "results/tiny/models/vqvae-resnet18/fold-0/model.yaml"


def states(workspace: ClusterWorkspace, comment: str) -> list[str]:
    return [job.state for job in workspace.jobs(comment)]


def forget(workspace: ClusterWorkspace, *outputs: str) -> None:
    for output in outputs:
        (workspace.results / output).unlink()


def long_study() -> dict[str, object]:
    """The tiny study with a training of many short epochs."""
    model = TINY["models"]["vqvae-resnet18"]
    training = {**model["training"], "epochs": EPOCHS, "patience": EPOCHS}
    return {**TINY, "models": {**TINY["models"], "vqvae-resnet18": {**model, "training": training}}}


@pytest.fixture(scope="module")
def quiet_training(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with a long training that nothing interrupted."""
    workspace = finished.clone(tmp_path_factory.mktemp("quiet") / "work")
    workspace.write_study(long_study())
    workspace.snakemake(UP_TO_WEIGHTS)
    return workspace.folder / "results" / "tiny" / "models" / "vqvae-resnet18" / "fold-0"


def same_training(workspace: ClusterWorkspace, quiet: Path) -> None:
    folder = workspace.results / "models" / "vqvae-resnet18" / "fold-0"
    for name in ("model.safetensors", "metrics.csv", "model.yaml"):
        assert (folder / name).read_bytes() == (quiet / name).read_bytes(), name
    assert not (folder / "resume").exists()


def test_a_job_out_of_memory_is_tried_again_with_more(partly: ClusterWorkspace, finished: Workspace) -> None:
    forget(partly, "tiles/0000.json")
    partly.run("--set-resources", "convert:mem_mb=220*attempt", *CONVERT)
    first, *others = partly.jobs("rule_convert")
    assert first.state in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
    assert others[-1].state == "COMPLETED"
    assert others[-1].asked_mb > first.asked_mb
    assert contents(partly) == contents(finished)


@pytest.fixture(scope="module")
def out_of_time(
    started_cluster: Cluster, finished: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> ClusterWorkspace:
    """A run in which a training and the measuring of distances hang until their time is over."""
    workspace = ClusterWorkspace(finished.clone(tmp_path_factory.mktemp("late") / "work").folder, started_cluster)
    workspace.write_study(long_study())
    forget(workspace, "distances/0001.json")
    limits = ["--set-resources", "pretrain:runtime=1", "distances:runtime=attempt"]
    run = workspace.start(*limits, "--", UP_TO_WEIGHTS, "results/tiny/distances/0001.json")
    workspace.hold("distances")
    resume = workspace.results / "models" / "vqvae-resnet18" / "fold-0" / "resume"
    wait_until("the first training state", lambda: list(resume.glob("*/state.pt")))
    workspace.hold("pretrain")
    run.wait()
    return workspace


def test_a_job_out_of_time_is_tried_again_with_more_time_and_memory(
    out_of_time: ClusterWorkspace, finished: Workspace
) -> None:
    first, second = out_of_time.jobs("rule_outlines_distances")
    assert (first.state, second.state) == ("TIMEOUT", "COMPLETED")
    assert second.limit_min == 2 * first.limit_min
    assert second.asked_mb > first.asked_mb
    made = {path: digest for path, digest in contents(out_of_time).items() if path.startswith("distances/")}
    assert made == {path: digest for path, digest in contents(finished).items() if path.startswith("distances/")}


def test_training_killed_at_its_time_limit_goes_on_in_the_next_attempt_to_the_same_weights(
    out_of_time: ClusterWorkspace, quiet_training: Path
) -> None:
    assert states(out_of_time, "rule_pretrain") == ["TIMEOUT", "COMPLETED"]
    log = out_of_time.folder / "results" / "logs" / "tiny" / "pretrain" / "vqvae-resnet18-fold-0.log"
    assert "continues at epoch" in log.read_text()
    same_training(out_of_time, quiet_training)


def test_training_on_a_node_that_dies_goes_on_elsewhere_to_the_same_weights(
    partly: ClusterWorkspace, quiet_training: Path
) -> None:
    partly.write_study(long_study())
    run = partly.start("--", UP_TO_WEIGHTS)
    resume = partly.results / "models" / "vqvae-resnet18" / "fold-0" / "resume"
    wait_until("the first training state", lambda: list(resume.glob("*/state.pt")))
    node = partly.cluster.client("squeue", "-h", "-t", "R", "-o", "%N").splitlines()[0]
    assert partly.cluster.crash_node(node) > 2
    run.wait()
    first, second = partly.jobs("rule_pretrain")
    assert (first.state, second.state) == ("NODE_FAIL", "COMPLETED")
    assert first.nodes != second.nodes
    same_training(partly, quiet_training)


def test_a_job_that_someone_cancels_runs_again(partly: ClusterWorkspace, finished: Workspace) -> None:
    forget(partly, "tiles/0000.json")
    run = partly.start(*CONVERT)
    partly.hold("convert", "0000")
    (job,) = partly.cluster.client("squeue", "-h", "-o", "%i").split()
    partly.cluster.client("scancel", job)
    run.wait()
    assert states(partly, "rule_convert") == ["CANCELLED", "COMPLETED"]
    assert contents(partly) == contents(finished)


def take_all_nodes(cluster: Cluster) -> None:
    """Submit a short job of higher priority that needs every node, and wait until it runs."""
    wanted = ["-p", "urgent", f"-N{cluster.nodes}", "--exclusive", "--output=/dev/null", "--wrap=true"]
    job = cluster.client("sbatch", "--parsable", *wanted)
    done = ("COMPLETED", "COMPLETING")
    cluster.wait_for(
        "the urgent job", lambda: cluster.client("squeue", "-h", "--states=all", f"-j{job}", "-o", "%T") in done
    )


@pytest.mark.parametrize("command", ["squeue", "sacct"])
def test_a_job_that_is_preempted_runs_again_whether_its_partition_requeues_or_cancels(
    partly: ClusterWorkspace, finished: Workspace, command: str
) -> None:
    forget(partly, "tiles/0000.json", "tiles/0001.json")
    places = "convert:slurm_partition='main' if wildcards.shard == '0000' else 'spare'"
    run = partly.start("--slurm-status-command", command, "--set-resources", places, *CONVERT)
    for shard in ("0000", "0001"):
        partly.hold("convert", shard)
    take_all_nodes(partly.cluster)
    printed = run.wait()
    assert printed.count("is over: a job of higher priority took its place (SLURM status is: 'PREEMPTED'") == 2
    for shard in ("0000", "0001"):
        assert states(partly, f"rule_convert_wildcards_tiny_{shard}") == ["PREEMPTED", "COMPLETED"]
    assert contents(partly) == contents(finished)


def test_a_job_that_is_cancelled_again_and_again_fails_after_its_retries_and_status_says_why(
    partly: ClusterWorkspace,
) -> None:
    """With sacct, which says `CANCELLED by 0`."""
    forget(partly, "tiles/0000.json")
    run = partly.start("--slurm-status-command", "sacct", "--retries", "1", *CONVERT)
    for _ in range(2):
        held = partly.hold("convert", "0000")
        (job,) = partly.cluster.client("squeue", "-h", "-o", "%i").split()
        partly.cluster.client("scancel", job)
        wait_until("the job to be gone", lambda held=held: not processes.command(held))
    printed = run.wait(success=False)
    assert printed.count("is over: someone cancelled it (SLURM status is: 'CANCELLED'") == 2
    assert states(partly, "rule_convert") == ["CANCELLED", "CANCELLED"]
    (failure,) = partly.status()["failures"]
    assert failure["job"] == "convert 0000"
    assert failure["reason"] == "someone cancelled it; run again"


def test_ctrl_c_cancels_the_jobs_and_a_restart_neither_loses_nor_doubles_them(
    partly: ClusterWorkspace, finished: Workspace
) -> None:
    forget(partly, "tiles/0000.json", "tiles/0001.json")
    run = partly.start(*CONVERT)
    for shard in ("0000", "0001"):
        partly.hold("convert", shard)
    run.process.send_signal(signal.SIGINT)
    run.wait(success=False)
    partly.cluster.wait_for("the queue to be empty", lambda: not partly.cluster.client("squeue", "-h"))
    partly.run(*CONVERT)
    assert sorted(states(partly, "rule_convert")) == ["CANCELLED", "CANCELLED", "COMPLETED", "COMPLETED"]
    assert contents(partly) == contents(finished)


def test_after_a_lost_login_jobs_still_in_the_queue_are_not_submitted_a_second_time(
    partly: ClusterWorkspace, finished: Workspace
) -> None:
    forget(partly, "tiles/0000.json")
    run = partly.start(*CONVERT)
    held = partly.hold("convert", "0000")
    run.process.kill()
    run.wait(success=False)
    shown = partly.status()
    assert shown["studies"]["tiny"]["convert"] == {"done": 1, "running": 1, "waiting": 0, "failed": 0, "expected": 2}
    assert "no Snakemake on this machine waits for them" in shown["notes"][0]
    assert "locked" in partly.run(*CONVERT, success=False)
    partly.run("--unlock", *CONVERT)
    refusal = partly.run(*CONVERT, success=False)
    assert "still in the queue and would write the same files" in refusal
    assert "scancel" in refusal
    processes.send(held, signal.SIGCONT)
    partly.cluster.wait_for("the queue to be empty", lambda: not partly.cluster.client("squeue", "-h"))
    partly.run(*CONVERT)
    assert states(partly, "rule_convert") == ["COMPLETED"]
    assert contents(partly) == contents(finished)


def test_a_controller_that_crashes_and_restarts_during_a_run_costs_nothing(
    partly: ClusterWorkspace, finished: Workspace
) -> None:
    forget(partly, "tiles/0000.json")
    run = partly.start(*CONVERT)
    held = partly.hold("convert", "0000")
    (job,) = partly.cluster.client("squeue", "-h", "-o", "%i").split()
    # The job may have been recorded as running before this moment; a change makes sure that it is recorded after it.
    changed, saved = time.time(), partly.cluster.folder / "state" / "job_state"
    partly.cluster.client("scontrol", "update", f"jobid={job}", "admincomment=runs")
    wait_until("the controller to have written the job down", lambda: saved.stat().st_mtime > changed)
    partly.cluster.kill_controller()
    os.kill(held, signal.SIGCONT)
    wait_until("the job to end without a controller", lambda: not processes.command(held))
    partly.cluster.start_controller()
    run.wait()
    assert states(partly, "rule_convert") == ["COMPLETED"]
    assert contents(partly) == contents(finished)


def test_the_rest_finishes_beside_a_shard_that_fails_and_a_rerun_makes_exactly_what_failed(
    on_cluster: ClusterWorkspace, finished: Workspace
) -> None:
    raw = on_cluster.results / "raw"
    shutil.copytree(finished.folder / "results" / "tiny" / "raw", raw)
    on_cluster.run("--until", "sheet")
    plate = sorted(path for path in raw.iterdir() if path.is_dir())[1]
    plate.rename(on_cluster.folder / "lost")
    printed = on_cluster.run("--retries", "0", success=False)
    assert "phenoloom convert: " in printed
    before = on_cluster.jobs()
    failed = [job.comment for job in before if job.state != "COMPLETED"]
    assert failed == ["rule_convert_wildcards_tiny_0001"]
    assert (on_cluster.results / "shapes" / "0000.json").exists()
    assert (on_cluster.results / "descriptors" / "0000.parquet").exists()
    (failure,) = on_cluster.status()["failures"]
    assert failure["job"] == "convert 0001"
    assert f"phenoloom convert: {failure['reason']}" in printed
    (on_cluster.folder / "lost").rename(plate)
    on_cluster.run()
    after = on_cluster.jobs()[len(before) :]
    assert [job.comment for job in after if "convert" in job.comment] == failed
    assert [job.comment for job in after if "simulate" in job.comment] == []
    assert len([job for job in after if "contours" in job.comment]) == 1
    assert contents(on_cluster) == contents(finished)
    assert "Nothing to be done" in on_cluster.run()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_said_in_a_sentence_and_a_rerun_with_free_space_finishes(
    on_cluster: ClusterWorkspace, finished: Workspace
) -> None:
    results = on_cluster.folder / "results"
    results.mkdir()
    raw = finished.folder / "results" / "tiny" / "raw"
    raw_mb = sum(path.stat().st_size for path in raw.rglob("*") if path.is_file()) / 1e6
    if os.system(f"mount -t tmpfs -o size={int(raw_mb * 1000) + 900}k tmpfs '{results}'"):
        pytest.skip("mounting is not allowed here")
    try:
        printed = on_cluster.run("--retries", "0", *CONVERT, success=False)
        assert "No space left on device" in printed
        assert os.system(f"mount -o remount,size=200m '{results}'") == 0
        on_cluster.run(*CONVERT)
        made = {path: digest for path, digest in contents(on_cluster).items() if path.startswith("tiles/")}
        assert made == {path: digest for path, digest in contents(finished).items() if path.startswith("tiles/")}
    finally:
        os.system(f"umount -l '{results}'")
