"""What a job costs on a cluster beside its work: the demo on a throw-away SLURM on this machine.

For each job the accounts know how long it ran, and Snakemake's benchmark files how long the commands in it took. The
difference is the overhead: a shell and three Snakemakes that start one inside the other. Waiting in the queue is not in
it. Run from the repository's root where `make slurm` has installed SLURM; `--quick` runs the demo up to its folds.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.slurm.cluster import Cluster, missing_programs  # noqa: E402 - the repository's root is on the path now


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
    # Jobs that share two cores would wait for each other, and that is not overhead.
    command += ["--jobs", "2", *(["--until", "folds", "describe"] if quick else [])]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-4000:] + done.stderr[-4000:])


def work_seconds(folder: Path) -> dict[str, list[float]]:
    """Seconds of the commands by rule."""
    seconds = defaultdict(list)
    for path in (folder / "results" / "benchmarks" / "demo").rglob("*.tsv"):
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
            rows = cluster.client("sacct", "-X", "-n", "-P", "--format=Comment,ElapsedRaw").splitlines()
        finally:
            cluster.down()
        work = {rule: statistics.median(values) for rule, values in work_seconds(folder).items()}
    report([(comment, int(elapsed)) for comment, elapsed in (row.split("|") for row in rows)], work)


def report(jobs: list[tuple[str, int]], work: dict[str, float]) -> None:
    """Print seconds of whole jobs, of the work in them (the rules' medians) and the ratio of the two."""
    kinds: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for comment, elapsed in jobs:
        name = comment.removeprefix("rule_").partition("_wildcards_")[0]
        rules = [rule for rule in name.split("_") if rule in work]
        kinds["+".join(sorted(rules))].append((elapsed, sum(work[rule] for rule in rules)))
    overheads = [elapsed - seconds for values in kinds.values() for elapsed, seconds in values]
    overhead = statistics.median(overheads)
    print(f"{'rules in the job':32} jobs  job s  work s  work / overhead")
    for kind, values in sorted(kinds.items()):
        elapsed, seconds = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{kind:32} {len(values):4}  {elapsed:5.0f}  {seconds:6.1f}  {seconds / overhead:6.1f}")
    least, most = min(overheads), max(overheads)
    print(f"\noverhead a job: median {overhead:.1f} s, from {least:.1f} to {most:.1f} s ({len(jobs)} jobs)")


if __name__ == "__main__":
    main()
