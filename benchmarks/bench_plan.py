"""Plan an archive: dry runs over many studies, and what each job on a cluster pays to read the workflow again.

Writes study files with the numbers of real studies (plates, images, bytes; from a TSV, or made up without one), four
models and five folds each, and plans them with `snakemake -n`. It needs no raw files: images are not inputs of the
graph, only the small annotation table of each study is.

Usage: python benchmarks/bench_plan.py [--quick]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from phenoloom.artifacts.jobs import jobs_of
from phenoloom.cluster.forecast.sizes import StudySize, read_sizes, recommended_shards
from phenoloom.config import RuleSettings, load_study
from phenoloom.config.run import Config

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHENOLOOM_DATA", REPOSITORY.parent / "shared" / "data"))
TABLE = DATA / "idr" / "idr-studies.tsv"
COLUMNS = {"study": "Study", "plates": "Sets", "images": "5D Images", "bytes": "Size"}
STUDIES, FOLDS = 115, 5
MODELS = {"image-a": "vqvae-resnet18", "image-b": "vqvae-resnet18", "shape-a": "shape-ae", "shape-b": "shape-ae"}
PHASES = {"import": "import", "parse": "parse", "all": "total"}
TIME_S, MEMORY_MB, PARSE_S = 60.0, 2000.0, 1.0
# How a plan of thousands of jobs is read: the count of each rule's jobs, without a paragraph on each job.
SUMMARY = ("--quiet", "rules")
LEAVE_OUT = "BENCH_PLAN_LEAVE_OUT"
"""Environment variable with the names of tricks that a plan does without."""


def sizes(count: int) -> list[StudySize]:
    """The `count` largest studies of the table, or made-up ones: log-normal in plates and in bytes a plate."""
    if TABLE.exists():
        return sorted(read_sizes(TABLE, COLUMNS), key=lambda s: -s.bytes)[:count]
    rng = random.Random(0)
    made = []
    for i in range(count):
        plates = max(1, round(rng.lognormvariate(3.0, 1.7)))
        size = round(plates * rng.lognormvariate(23.5, 1.2))
        made.append(StudySize(f"study{i:04d}", plates, plates * 2000, size, size / 4, 2))
    return made


def study_file(size: StudySize) -> dict[str, Any]:
    """A study as a screen writes it: images by pattern, a table of labels, objects, contours, four models."""
    return {
        "title": f"Plan of {size.name}",
        "licence": "CC0-1.0",
        "shards": recommended_shards(size.plates, size.bytes),
        "source": {
            "root": size.name,
            "files": "{plate}/{well}_s{field}_{channel}.tif",
            "channels": {"DNA": "w1", "cell body": "w2", "protein": "w3"},
            "table": {"path": "annotation.csv", "join": {"plate": "Plate", "well": "Well"}},
            "columns": {"label": "Phenotype", "group": "Compound"},
            "masks": {"channel": "cell body", "split_distance_px": 20},
        },
        "tiles": {"mode": "objects", "size": 96},
        "shapes": {"points": 64},
        "folds": {"count": FOLDS, "group": "well"},
        "models": {name: {"training": {"threads": 2}} for name in MODELS},
        "representations": {
            "regionprops": {"descriptors": "regionprops"},
            "intensity": {"descriptors": "intensity"},
            **{name: {"model": name} for name in MODELS},
        },
    }


def write_archive(folder: Path, archive: Sequence[StudySize]) -> None:
    """`config/` of all studies and their annotation tables."""
    (folder / "config" / "studies").mkdir(parents=True)
    (folder / "config" / "models").mkdir()
    for name, model in MODELS.items():
        shutil.copy(REPOSITORY / "config" / "models" / f"{model}.yaml", folder / "config" / "models" / f"{name}.yaml")
    for size in archive:
        text = yaml.safe_dump(study_file(size), sort_keys=False)
        (folder / "config" / "studies" / f"{size.name}.yaml").write_text(text)
        (folder / "raw" / size.name).mkdir(parents=True)
        (folder / "raw" / size.name / "annotation.csv").write_text("Plate,Well,Phenotype,Compound\n")
    config = {"studies": [size.name for size in archive], "data_root": "raw"}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))


def leave_out(tricks: Sequence[str]) -> None:
    """Make functions do nothing that the workflow calls to plan faster (`workflow/rules/internals.smk`)."""
    import snakemake.common

    if "freeze" in tricks:
        gc.freeze = gc.set_threshold = lambda *_: None  # type: ignore[assignment]
    if "signed" in tricks:
        snakemake.common.overwrite_function_params = lambda *_: None


def timed_snakemake(arguments: Sequence[str]) -> None:
    """In a process of its own: run snakemake and print, last, what its phases took as one line of JSON."""
    start = time.perf_counter()
    import snakemake.cli
    from snakemake.workflow import Workflow

    leave_out(os.environ.get(LEAVE_OUT, "").split())

    imported = time.perf_counter() - start
    parsed, built = spent_in(Workflow, "include"), spent_in(Workflow, "_build_dag")
    try:
        snakemake.cli.main(list(arguments))
    except SystemExit as leave:
        code = leave.code
    total = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB
    cpu = time.process_time()
    phases = {"code": code, "import": imported, "parse": parsed["s"], "dag": built["s"], "total": total}
    print(json.dumps({**phases, "cpu": cpu, "mb": memory}))


def spent_in(owner: Any, name: str) -> dict[str, float]:
    """Seconds by the clock in the method of that name, its calls of itself counted once, kept up to date."""
    method: Callable[..., Any] = getattr(owner, name)
    spent = {"s": 0.0, "depth": 0}

    def timed(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        spent["depth"] += 1
        try:
            return method(*args, **kwargs)
        finally:
            spent["depth"] -= 1
            if not spent["depth"]:
                spent["s"] += time.perf_counter() - begin

    setattr(owner, name, timed)
    return spent


def snakemake_in(folder: Path, *arguments: str, without: str = "") -> tuple[dict[str, float], str]:
    """Phases of one dry run in `folder`, `without` some tricks, and what it printed."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", "--snakefile"]
    command += [str(REPOSITORY / "workflow" / "Snakefile"), "--cores", "2", "--dry-run", *arguments]
    environment = {**os.environ, LEAVE_OUT: without}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    try:
        phases: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        raise SystemExit(f"snakemake failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}") from None
    if phases["code"]:
        raise SystemExit(f"snakemake failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return phases, done.stdout + done.stderr


def plan(folder: Path, archive: Sequence[StudySize], *arguments: str) -> dict[str, float]:
    """One dry run over the archive; its count of jobs must be what the formula says."""
    phases, text = snakemake_in(folder, *arguments)
    found = re.search(r"^total\s+(\d+)", text, re.MULTILINE)
    jobs = int(found[1]) if found else 0
    config = folder / "config"
    settings = [RuleSettings(size.name, load_study(size.name, config), Config(), config) for size in archive]
    expected = 2 + sum(1 for study in settings for _ in jobs_of(study))
    if jobs != expected:
        raise SystemExit(f"the plan has {jobs} jobs, the formula says {expected}")
    return {**phases, "jobs": jobs, "shards": sum(recommended_shards(s.plates, s.bytes) for s in archive)}


def one_job(folder: Path, study: str) -> dict[str, float]:
    """What a cluster job of the study pays before its command starts: the arguments are those of a submitted job."""
    wildcards = f"sheet:study={study}"
    fixed = ["--allowed-rules", "sheet", "--force", "--mode", "remote", "--max-inventory-time", "0", "--nolock"]
    return snakemake_in(folder, "--target-jobs", wildcards, *fixed)[0]


def grow(folders: dict[int, Path], archive: Sequence[StudySize]) -> None:
    """Plans of growing parts of the archive; the last one is all of it."""
    print(" studies  shards    jobs  seconds  CPU-s  parse    DAG     MB  CPU-s / 1,000 jobs")
    for count, folder in folders.items():
        done = plan(folder, archive[-count:], *SUMMARY)
        per = 1000 * (done["cpu"] - done["import"]) / done["jobs"]
        counts = f"{count:8d} {done['shards']:7.0f} {done['jobs']:7.0f}"
        times = f"{done['total']:8.1f} {done['cpu']:6.1f} {done['parse']:6.2f} {done['dag']:6.1f}"
        print(f"{counts} {times} {done['mb']:6.0f}  {per:.2f}", flush=True)
    verdict(f"plan of {len(archive)} studies in s", done["total"], TIME_S)
    verdict("its peak memory in MB", done["mb"], MEMORY_MB)
    printed = plan(folder, archive)
    verdict("the same with a paragraph printed for each job, in s", printed["total"], TIME_S)


def gain(folder: Path, rounds: int) -> None:
    """CPU seconds of the same plan with and without each trick of the workflow; rounds are interleaved."""
    cpu: dict[str, list[float]] = {"": [], "freeze": [], "signed": []}
    for _ in range(rounds):
        for without, seconds in cpu.items():
            seconds.append(snakemake_in(folder, *SUMMARY, without=without)[0]["cpu"])
    median = {without: statistics.median(seconds) for without, seconds in cpu.items()}
    print(f"CPU-s of one plan, medians of {rounds} interleaved rounds: {median['']:.2f}")
    for trick in ("freeze", "signed"):
        print(f"  without {trick}: {median[trick]:.2f}, {median[trick] / median['']:.2f} times as much")


def pay(one: Path, whole: Path, studies: int, study: str, rounds: int) -> None:
    """What one job pays in a workflow of one study, and of all."""
    runs: dict[int, list[dict[str, float]]] = {1: [], studies: []}
    for _ in range(rounds):
        runs[1].append(one_job(one, study))
        runs[studies].append(one_job(whole, study))
    print(f"one job of the smallest study, medians of {rounds} interleaved rounds (import of snakemake is not ours)")
    parsed = {}
    for count, phases in runs.items():
        median = {key: statistics.median(run[key] for run in phases) for key in ("import", "parse", "total", "mb")}
        parsed[count] = median["parse"]
        times = ", ".join(f"{name} {median[key]:.2f} s" for name, key in PHASES.items())
        print(f"  {count:4d} studies: {times}, {median['mb']:.0f} MB")
    print(f"  parse with {studies} studies / with one: {parsed[studies] / parsed[1]:.2f}")
    verdict("parsing for one job in s", parsed[studies], PARSE_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smaller half of the studies, fewer rounds")
    arguments = parser.parse_args()
    archive = sizes(STUDIES)
    if arguments.quick:
        archive = archive[-(STUDIES // 2) :]
    with tempfile.TemporaryDirectory() as temporary:
        folders = {}
        # The smallest studies first: the last part is the whole archive.
        for count in sorted({1, len(archive) // 4, len(archive) // 2, len(archive)}):
            folders[count] = Path(temporary) / str(count)
            write_archive(folders[count], archive[-count:])
        grow(folders, archive)
        rounds = 3 if arguments.quick else 5
        gain(folders[len(archive) // 4], rounds)
        pay(folders[1], folders[len(archive)], len(archive), archive[-1].name, rounds)


def verdict(what: str, value: float, target: float) -> None:
    print(f"  {what}: {value:.2f}   target < {target:g} {'met' if value < target else 'NOT met'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        timed_snakemake(sys.argv[2:])
    else:
        main()
