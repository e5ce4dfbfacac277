"""Ask SLURM: each question has a time limit, and each answer that a person must act on is a sentence."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import PhenoloomError

ANSWER_S = 20.0
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "srun")


@dataclass(frozen=True)
class Request:
    """The request of one job.

    Attributes:
        rule: for messages only.
        flags: options of sbatch.
    """

    rule: str
    flags: tuple[str, ...]


FLAGS = {
    "slurm_partition": "--partition={}",
    "slurm_account": "--account={}",
    "runtime": "--time={}",
    "mem_mb": "--mem={}",
    "gpu": "--gpus={}",
    "gres": "--gres={}",
    "nodes": "--nodes={}",
    "constraint": "--constraint={}",
    "qos": "--qos={}",
}


def requests(jobs: Iterable[tuple[str, int, Mapping[str, object]]]) -> list[Request]:
    """Return the distinct requests of jobs; of several that differ in memory alone only the largest.

    A resource that is not known yet, because it depends on a file that another job makes, is left out.

    Args:
        jobs: rule, threads and resources of each job.
    """
    largest: dict[tuple[str, ...], tuple[int, str]] = {}
    for rule, threads, resources in jobs:
        known = {name: value for name, value in resources.items() if value and str(value) != "<TBD>"}
        memory = known.pop("mem_mb", 0)
        tasks = int(str(known.get("tasks", 1)))
        flags = [f"--ntasks={tasks}", f"--cpus-per-task={threads}"]
        flags += [FLAGS[name].format(known[name]) for name in FLAGS if name in known]
        if "gpu" in known and known.get("gpu_model"):
            flags = [f"--gpus={known['gpu_model']}:{known['gpu']}" if f.startswith("--gpus") else f for f in flags]
        before, _ = largest.get(tuple(flags), (0, rule))
        largest[tuple(flags)] = max((before, rule), (int(str(memory)), rule))
    return [
        Request(rule, (*flags, *([FLAGS["mem_mb"].format(memory)] if memory else [])))
        for flags, (memory, rule) in largest.items()
    ]


@dataclass(frozen=True)
class QueuedJob:
    """A job in the queue.

    Attributes:
        job_id: SLURM's number.
        name: name of the run; Snakemake begins it with the profile's prefix.
        state: SLURM's word, such as RUNNING.
        comment: rule and wildcards, see `comment_of`.
        folder: where the job was submitted.
        reason: why it waits, in SLURM's words such as Resources; None if it does not.
    """

    job_id: str
    name: str
    state: str
    comment: str
    folder: str
    reason: str = "None"


def comment_of(rule: str, values: Iterable[str], group: str | None = None) -> str:
    """Return the comment that the executor gives a job in the queue: its rule and the values of all its wildcards.

    Of a job in a group it is how the comment of the group begins.

    Args:
        rule: Rule of the job.
        values: Values of its wildcards, in the order of the output's path.
        group: Group that the job is in, if any.
    """
    if group:
        return f"rule_{group}_"
    joined = "_".join(values)
    return f"rule_{rule}" + (f"_wildcards_{joined}" if joined else "")


def ask(*command: str, timeout_s: float = ANSWER_S) -> str:
    """Return the standard output of a client command; raise PhenoloomError if it is missing, silent or fails."""
    done = _run(command, timeout_s)
    if done.returncode:
        raise PhenoloomError(f"`{command[0]}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def queued_jobs(prefix: str) -> list[QueuedJob]:
    """Return this user's jobs that wait or run, if their names start with `prefix`."""
    lines = ask("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i\t%j\t%T\t%k\t%Z\t%r").splitlines()
    jobs = [QueuedJob(*fields) for fields in (line.split("\t") for line in lines) if len(fields) == 6]
    return [job for job in jobs if job.name.startswith(prefix)]


def check_commands(which: Callable[[str], str | None] = shutil.which) -> None:
    """Refuse a machine without SLURM's commands."""
    missing = [name for name in CLIENTS if which(name) is None]
    if missing:
        raise PhenoloomError(
            f"the slurm profile needs SLURM's commands, and {', '.join(missing)} is not on PATH of this machine; run "
            "on a login node of the cluster (perhaps after `module load slurm`), or without the profile"
        )


def check_site(
    requested: Sequence[Request],
    status_command: str,
    first_check_s: int,
    prefix: str,
    comments: Collection[str],
    folder: Path,
) -> None:
    """Refuse, before anything is submitted, what would fail, hang or be done twice.

    Args:
        requested: SLURM itself judges these (`sbatch --test-only`), since it knows limits and nodes.
        status_command: the profile's `slurm-status-command`.
        first_check_s: seconds until the executor first asks for a job's state.
        prefix: how names of this project's jobs in the queue begin.
        comments: those of the jobs to come, or how they begin (`rule_outlines_`, for a group).
        folder: where Snakemake runs; a job of an earlier run of it with such a comment would write the same files.

    Raises:
        PhenoloomError: with a sentence on what to change.
    """
    check_commands()
    if "is UP" not in ask("scontrol", "ping"):
        raise PhenoloomError("SLURM's controller does not answer (`scontrol ping`); try again when it is up")
    _check_status_command(status_command, first_check_s)
    _check_earlier_run(prefix, comments, folder)
    _check_accounts(
        {flag.partition("=")[2] for request in requested for flag in request.flags if flag.startswith("--account=")}
    )
    for request in requested:
        done = _run(["sbatch", "--test-only", *request.flags, "--wrap=true"], ANSWER_S)
        if done.returncode:
            raise PhenoloomError(refusal(request, done.stderr))


def refusal(request: Request, words: str) -> str:
    """Return a sentence for SLURM's refusal of a job: what it said, and what to change where."""
    said = " ".join(line.split(": ", 2)[-1] for line in words.strip().splitlines()[-1:]) or "nothing"
    flags = " ".join(request.flags)
    advice = "change the rule's resources in your profile (`set-resources`)"
    for pattern, hint in HINTS:
        if re.search(pattern, words, re.IGNORECASE):
            advice = hint()
            break
    return f"SLURM would refuse the jobs of rule {request.rule} (sbatch {flags}): {said}; {advice}"


def _partition_hint() -> str:
    names = sorted({name.rstrip("*") for name in ask("sinfo", "--noheader", "--format=%P").split()})
    return f"set `slurm_partition` in your profile to one of this cluster's: {', '.join(names) or 'it has none'}"


def _account_hint() -> str:
    known = _accounts()
    yours = f" (yours: {', '.join(known)})" if known else ""
    return f"set `slurm_account` in your profile to an account that may use this partition{yours}"


def _accounts() -> list[str]:
    """Return this user's accounts; an empty list where the cluster keeps none."""
    if shutil.which("sacctmgr") is None:
        return []
    command = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={getpass.getuser()}"]
    done = _run([*command, "format=account"], ANSWER_S)
    return sorted(set(done.stdout.split())) if done.returncode == 0 else []


def _nodes_hint() -> str:
    nodes = sorted(set(ask("sinfo", "--noheader", "--format=%P: %D nodes, %c CPUs, %m MB, %G").splitlines()))
    return (
        "no node has that; choose another partition or kind of GPU in your profile, or ask for less there "
        "(`set-resources: pretrain:gpu=0`, and the same of `embed`, `tune` and `transfer_embed`, works on "
        f"processors). The cluster has {'; '.join(nodes)}"
    )


HINTS: tuple[tuple[str, Callable[[], str]], ...] = (
    (r"invalid partition|partition name", _partition_hint),
    (r"invalid account|account/partition", _account_hint),
    (r"invalid (?:generic resource|gres)|node configuration|not available|can not be satisfied", _nodes_hint),
    (
        r"time limit",
        lambda: "lower `runtime` of this rule in your profile (`set-resources`); training continues anyway",
    ),
)


def _check_status_command(command: str, first_check_s: int) -> None:
    config = dict(re.findall(r"^(\w+)\s*=\s*(.*?)\s*$", ask("scontrol", "show", "config"), re.MULTILINE))
    accounting = config.get("AccountingStorageType", "")
    kept_s = int(re.match(r"\d+", config.get("MinJobAge", "0"))[0])  # type: ignore[index] # always a number
    without = accounting in ("", "(null)") or accounting.endswith("/none")
    # With squeue the plugin turns to sacct all the same where the controller forgets jobs too early.
    uses_sacct = command == "sacct" or (kept_s < 3 * first_check_s and shutil.which("sacct") is not None)
    if without and uses_sacct:
        advice = "set `slurm-status-command: squeue` in your profile"
        if command == "squeue":
            advice = f"set `slurm-init-seconds-before-status-checks` in your profile to at most {kept_s // 3}"
        raise PhenoloomError(
            "this cluster keeps no accounts of jobs (AccountingStorageType is none), so that sacct would never report "
            f"a job as finished and Snakemake would wait for ever; {advice}"
        )


def _check_accounts(wanted: Collection[str]) -> None:
    known = _accounts() if wanted else []
    unknown = sorted(name for name in wanted if known and name.lower() not in {account.lower() for account in known})
    if unknown:
        raise PhenoloomError(f"SLURM knows no account {unknown[0]!r} of {getpass.getuser()}; {_account_hint()}")


def _check_earlier_run(prefix: str, comments: Collection[str], folder: Path) -> None:
    if not prefix:
        return
    whole, beginnings = set(comments), tuple(comment for comment in comments if comment.endswith("_"))
    ours = [
        job
        for job in queued_jobs(prefix)
        if Path(job.folder) == folder and (job.comment in whole or job.comment.startswith(beginnings))
    ]
    if ours:
        ids = " ".join(job.job_id for job in ours)
        raise PhenoloomError(
            f"{len(ours)} jobs of an earlier run are still in the queue and would write the same files as the jobs of "
            f"this run; wait until they end, or cancel them: scancel {ids}"
        )


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        raise PhenoloomError(f"`{command[0]}` is not on PATH; is this a machine of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise PhenoloomError(
            f"`{' '.join(command)}` did not answer within {timeout_s:.0f} s; SLURM's controller may be down"
        ) from None
