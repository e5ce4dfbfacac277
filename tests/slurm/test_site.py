"""What a site refuses or lacks is said in a sentence before anything is submitted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.helpers.cluster_workspace import ClusterWorkspace
from tests.helpers.slurm_cluster import Cluster

pytestmark = pytest.mark.slurm

CONVERT = ("--", "results/tiny/tiles/0000.json")


def refused(workspace: ClusterWorkspace, *arguments: str) -> str:
    printed = workspace.run(*arguments, *CONVERT, success=False)
    assert not workspace.cluster.client("squeue", "-h")
    assert workspace.jobs() == []
    return printed


def test_an_unknown_partition_is_answered_with_those_there_are(on_cluster: ClusterWorkspace) -> None:
    printed = refused(on_cluster, "--default-resources", "slurm_partition=nowhere", "mem_mb=500", "runtime=5")
    assert "set `slurm_partition` in your profile to one of this cluster's: main, spare, urgent" in printed


def test_an_unknown_account_is_answered_with_ones_own(on_cluster: ClusterWorkspace) -> None:
    printed = refused(on_cluster, "--default-resources", "slurm_account=nobodys", "mem_mb=500", "runtime=5")
    assert "SLURM knows no account 'nobodys'" in printed
    assert "(yours: root)" in printed


def test_more_gpus_than_any_node_has_are_answered_with_what_the_nodes_have(on_cluster: ClusterWorkspace) -> None:
    printed = refused(on_cluster, "--set-resources", "convert:gpu=9")
    assert "SLURM would refuse the jobs of rule convert" in printed
    assert "32000 MB, gpu:2" in printed


def test_a_submission_that_fails_is_an_error_of_the_job_also_in_a_group(on_cluster: ClusterWorkspace) -> None:
    extra = [f"{rule}:slurm_extra='--job-name=mine'" for rule in ("simulate", "sheet")]
    sheet = ["--", "results/tiny/sheet.json"]
    printed = on_cluster.run("--retries", "0", "--set-resources", *extra, *sheet, success=False)
    assert (
        "prepare_sheet_simulate could not be submitted: The --job-name option is not allowed in the 'slurm_extra'"
        in printed
    )
    assert on_cluster.jobs() == []


def test_a_machine_without_slurm_is_refused_as_such(on_cluster: ClusterWorkspace, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("env", "bash", "sh", "which"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    run = on_cluster.start(*CONVERT, path=str(tools))
    assert "needs SLURM's commands, and sbatch, squeue, scancel, scontrol, srun" in run.wait(success=False)


def without_accounts(tools: Path) -> Path:
    """Make a folder with the machine's commands but those that ask for accounts of jobs."""
    tools.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in ("sacct", "sacctmgr", "sshare"):
            (tools / program.name).symlink_to(program)
    return tools


def test_a_cluster_without_accounts_of_jobs_works_with_squeue_and_refuses_to_wait_for_sacct(
    on_cluster: ClusterWorkspace, tmp_path: Path
) -> None:
    lean = Cluster(tmp_path / "lean", accounting=False, gpus=0)
    lean.up()
    try:
        on_cluster.cluster = lean
        (lean.folder / "bin" / "sacct").symlink_to(".client")
        printed = on_cluster.run("--slurm-status-command", "sacct", *CONVERT, success=False)
        assert "set `slurm-status-command: squeue` in your profile" in printed
        (lean.folder / "bin" / "sacct").unlink()
        path = os.pathsep.join([str(lean.folder / "bin"), str(without_accounts(tmp_path / "tools"))])
        printed = on_cluster.start(*CONVERT, path=path).wait()
        assert "trying to guess" not in printed
        assert (on_cluster.results / "tiles" / "0000.json").exists()
        account = ["--default-resources", "slurm_account=lab", "mem_mb=500", "runtime=5"]
        (on_cluster.results / "tiles" / "0000.json").unlink()
        on_cluster.start(*account, *CONVERT, path=path).wait()
        assert "no node has that" in on_cluster.run("--set-resources", "index:gpu=1", success=False)
    finally:
        lean.down()


def test_the_profile_is_found_by_name_from_the_root_with_and_without_the_link(
    on_cluster: ClusterWorkspace, repository: Path
) -> None:
    for name in ("workflow", "profiles"):
        (on_cluster.folder / name).symlink_to(repository / name)
    (on_cluster.folder / "slurm").symlink_to("profiles/slurm")
    for option in ("--workflow-profile", "--profile"):
        (on_cluster.results / "tiles" / "0000.json").unlink(missing_ok=True)
        printed = on_cluster.start(*CONVERT, profile=[option, "slurm"]).wait()
        assert "has been submitted with SLURM jobid" in printed, option
