"""Measure what a job costs on a cluster in addition to its work: the demo on a temporary SLURM on this machine.

SLURM's accounting knows how long each job ran, and Snakemake's benchmark files how long its commands took; for a job of
several commands the longest of each rule are added up. For a job of one command the difference is the overhead: a shell
and three Snakemakes that start one inside the other. Waiting in the queue is not counted.

Usage, from the root of the repository after `make slurm`: python benchmarks/bench_cluster.py [--quick]
`--quick` prepares the demo and trains one model.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
QUICK = ("results/demo/models/shape-ae/fold-0/model.yaml", "results/demo/descriptors/0000.parquet")
sys.path.insert(0, str(REPOSITORY))

from tests.helpers.slurm_cluster import Cluster, missing_programs  # noqa: E402 - the repository's root is on the path now


def run_demo(cluster: Cluster, folder: Path, quick: bool) -> None:
    """Run the demo study in `folder`."""
    for name in ("workflow", "config", "envs", "profiles"):
        (folder / name).symlink_to(REPOSITORY / name)
    environment = cluster.environment
    environment["PATH"] = os.pathsep.join(
        [str(cluster.folder / "bin"), str(Path(sys.executable).parent), environment["PATH"]]
    )
    command = ["snakemake", "--workflow-profile", "slurm", "--config", "studies=[demo]"]
    command += ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "1"]
    command += ["--slurm-keep-successful-logs"]
    # Jobs that share two cores would wait for each other, and that is not overhead.
    command += ["--jobs", "2", *(["--", *QUICK] if quick else [])]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-4000:] + done.stderr[-4000:])


def members(folder: Path) -> dict[str, list[Path]]:
    """Benchmark files of the commands of each job of the cluster, as the job's own log names them.

    The Snakemakes in a job name them. The one that submits does too, but those of several jobs before it submits any.
    """
    found = {}
    for log in (folder / "results/logs/slurm").rglob("*.log"):
        named = re.findall(r"^ +benchmark: (.+)$", log.read_text(), re.MULTILINE)
        found[log.stem] = [folder / path for path in dict.fromkeys(named)]
    return found


def work_seconds(benchmarks: list[Path]) -> dict[str, list[float]]:
    """Seconds of a job's commands by rule."""
    seconds = defaultdict(list)
    for path in benchmarks:
        with path.open() as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        seconds[path.parent.name].append(float(row["s"]))
    return seconds


def main() -> None:
    """Print a line for each kind of job, and the jobs that were shorter than their overhead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    missing = missing_programs(accounting=True)
    if missing:
        print(f"left out: {', '.join(missing)} not installed (make slurm)")
        return
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "work")
        folder.mkdir()
        cluster = Cluster(Path(root, "cluster"))
        try:
            cluster.up()
            run_demo(cluster, folder, quick)
            cluster.wait_for("the accounts", lambda: "RUNNING" not in cluster.client("sacct", "-X", "-n"))
            rows = cluster.client("sacct", "-X", "-n", "-P", "--format=JobIDRaw,ElapsedRaw").splitlines()
        finally:
            cluster.down()
        commands = members(folder)
        report([(int(s), work_seconds(commands[job])) for job, s in (row.split("|") for row in rows)])


def report(jobs: list[tuple[int, dict[str, list[float]]]]) -> None:
    """Print seconds of whole jobs, of the work in them and the ratio of that to a job's overhead."""
    kinds: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for elapsed, work in jobs:
        kind = " + ".join(f"{len(s)} {rule}" if len(s) > 1 else rule for rule, s in sorted(work.items()))
        kinds[kind].append((elapsed, sum(max(seconds) for seconds in work.values())))
    unclear = sum(not work or sum(max(s) for s in work.values()) > elapsed for elapsed, work in jobs)
    single = [(elapsed, work) for elapsed, work in jobs if sum(map(len, work.values())) == 1]
    overheads = [elapsed - sum(map(sum, work.values())) for elapsed, work in single]
    if not overheads:
        sys.exit("no job has a single command, so the overhead cannot be measured; run more jobs")
    overhead = statistics.median(overheads)
    print(f"{'job':76} jobs  job s  work s  work / overhead")
    for kind, values in sorted(kinds.items()):
        elapsed_s, seconds = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{kind:76} {len(values):4}  {elapsed_s:5.0f}  {seconds:6.1f}  {seconds / overhead:6.1f}")
    shorter = [kind for kind, values in kinds.items() if min(seconds for _, seconds in values) < overhead]
    if unclear:
        what = f"{unclear} of {len(jobs)} jobs have no command, or more work than time"
        print(f"\nshorter than the overhead: NOT KNOWN, {what}")
    else:
        print(f"\nshorter than the overhead: {', '.join(sorted(shorter)) or 'none'}")
    least, most = min(overheads), max(overheads)
    counted = f"{len(single)} of {len(jobs)} jobs have one command"
    print(f"overhead a job: median {overhead:.1f} s, from {least:.1f} to {most:.1f} s ({counted})")


if __name__ == "__main__":
    main()
