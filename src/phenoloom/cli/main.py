"""The command line: one command per rule, named like it, and nothing else knows argv.

Every command takes its settings as the canonical JSON text that the workflow passes, so a command copied from a log
does by hand exactly what the workflow did. Modules are imported inside their command: most steps need no torch.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config import rule_settings as s
from ..core.errors import PhenoloomError
from .models import add_model_commands
from .training import add_training_commands

Command = Callable[[argparse.Namespace], None]


def _simulate(a: argparse.Namespace) -> None:
    from ..study.simulate import simulate_study

    simulate_study(s.SimulateSettings.parse(a.settings), a.folder, a.output)


def _sheet(a: argparse.Namespace) -> None:
    from ..study.sheet import make_sheet

    make_sheet(s.SheetSettings.parse(a.settings), a.sheet, a.output)


def _convert(a: argparse.Namespace) -> None:
    from ..artifacts.scratch import scratch_folder, staged_output
    from ..study.shards import raw_bytes
    from ..tiles.convert import convert_shard

    scratch = scratch_folder(a.scratch)
    with staged_output(a.output, scratch, raw_bytes(a.sheet, a.shard) if scratch else 0) as output:
        convert_shard(s.ConvertSettings.parse(a.settings), a.sheet, a.shard, output, a.threads)


def _index(a: argparse.Namespace) -> None:
    from ..study.index import make_index

    make_index(s.IndexSettings.parse(a.settings), a.sheet, a.shards, a.index, a.output, a.quarantine)


def _contours(a: argparse.Namespace) -> None:
    from ..shapes.contours import extract_contours

    extract_contours(s.ContoursSettings.parse(a.settings), a.sheet, a.shard, a.tiles, a.output, a.threads)


def _distances(a: argparse.Namespace) -> None:
    from ..shapes.distances import store_distances

    store_distances(s.DistancesSettings.parse(a.settings), a.shapes, a.output)


def _describe(a: argparse.Namespace) -> None:
    from ..shapes.describe import describe_shard

    describe_shard(s.DescribeSettings.parse(a.settings), a.shapes, a.output)


def _folds(a: argparse.Namespace) -> None:
    from ..splits.folds import make_folds

    make_folds(s.FoldsSettings.parse(a.settings), a.index, a.folds, a.output)


def _embed(a: argparse.Namespace) -> None:
    from ..data.sources import stores_in
    from ..embedding.embed import embed

    settings = s.EmbedSettings.parse(a.settings)
    stores = stores_in(a.stores, a.index) if a.stores else []
    embed(settings, a.index, a.folds, stores, a.descriptors, a.model, a.output, a.threads, a.parts)


def _classify(a: argparse.Namespace) -> None:
    from ..evaluation.classify import classify

    classify(s.ClassifySettings.parse(a.settings), a.embeddings, a.folds, a.output, a.threads)


def _transfer(a: argparse.Namespace) -> None:
    from ..evaluation.transfer import StudyTables, transfer

    source = StudyTables(a.source_index, a.source_folds, a.source_embeddings)
    target = StudyTables(a.index, a.folds, a.embeddings)
    transfer(s.TransferSettings.parse(a.settings), source, target, a.output, a.threads)


def _compare(a: argparse.Namespace) -> None:
    from ..evaluation.compare import compare

    compare(s.CompareSettings.parse(a.settings), a.scores, a.output, a.comparisons)


def _collect(a: argparse.Namespace) -> None:
    from ..embedding.collect import collect

    embeddings: dict[str, list[Path]] = {}
    for path in a.embeddings:
        embeddings.setdefault(path.parent.name, []).append(path)
    collect(s.CollectSettings.parse(a.settings), a.folds, embeddings, a.output)


def _report(a: argparse.Namespace) -> None:
    from ..report import make_report

    make_report(s.ReportSettings.parse(a.settings), a.study_folder, a.benchmarks, a.output)


def _overview(a: argparse.Namespace) -> None:
    from ..report import make_overview

    make_overview(s.OverviewSettings.model_validate_json(a.settings), a.results, a.output)


def _check(a: argparse.Namespace) -> None:
    from ..study.check import check

    check(a.studies, a.config, a.data_root)


def _status(a: argparse.Namespace) -> None:
    from ..cluster.status import status

    if not status(a.studies, a.config, planned=not a.no_plan, as_json=a.json):
        sys.exit(1)


def _forecast(a: argparse.Namespace) -> None:
    from ..cluster.forecast.command import Question, parse_columns, print_forecast

    asked = {k: v for k, v in vars(a).items() if k in Question.__dataclass_fields__ and k != "columns"}
    print_forecast(Question(**asked, columns=parse_columns(a.columns)))


def _manual(a: argparse.Namespace) -> None:
    from ..config.manual import write_manual

    write_manual(a.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="phenoloom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, what: str, *, rule: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(run=run)
        if rule:
            command.add_argument("--settings", required=True, help="the rule's settings: canonical JSON")
            command.add_argument("--output", required=True, type=Path, help="what is written last")
        return command

    def path(command: argparse.ArgumentParser, *names: str, required: bool = True) -> None:
        for name in names:
            command.add_argument(f"--{name}", required=required, type=Path)

    def paths(command: argparse.ArgumentParser, *names: str) -> None:
        for name in names:
            command.add_argument(f"--{name}", nargs="*", default=[], type=Path)

    def threads(command: argparse.ArgumentParser) -> None:
        command.add_argument("--threads", type=int, default=1)

    def scratch(command: argparse.ArgumentParser, meaning: str) -> None:
        command.add_argument("--scratch", default="", help=f"folder on this machine's disk, {meaning}; variables too")

    path(add("simulate", _simulate, "make the raw files of a simulated study"), "folder")
    path(add("sheet", _sheet, "list the images of a study with their labels and shards"), "sheet")
    convert = add("convert", _convert, "tile one shard's raw images into the Zarr store")
    path(convert, "sheet")
    convert.add_argument("--shard", required=True)
    threads(convert)
    scratch(convert, "where the store is written before it is moved to its place")
    index = add("index", _index, "join all shards into the study's index and quarantine table")
    path(index, "sheet", "index", "quarantine")
    paths(index, "shards")
    contours = add("contours", _contours, "extract one shard's contours from masks or outlines")
    path(contours, "sheet")
    path(contours, "tiles", required=False)
    contours.add_argument("--shard", required=True)
    threads(contours)
    path(add("distances", _distances, "store one shard's distance matrices"), "shapes")
    path(add("describe", _describe, "compute one shard's classical descriptors"), "shapes")
    path(add("folds", _folds, "split the study's groups into folds"), "index", "folds")
    add_training_commands(add)
    for name, what in (("embed", "the study's own"), ("transfer_embed", "another study's")):
        embed = add(name, _embed, f"compute one representation's vectors with {what} encoder")
        path(embed, "index", "folds")
        path(embed, "model", "stores", required=False)
        paths(embed, "descriptors", "parts")
        threads(embed)
    classify = add("classify", _classify, "score one representation with probes on every fold")
    path(classify, "folds")
    paths(classify, "embeddings")
    threads(classify)
    tested = add("transfer", _transfer, "score another study's encoder and probes on this one")
    path(tested, "index", "folds", "source-index", "source-folds")
    paths(tested, "embeddings", "source-embeddings")
    threads(tested)
    compare = add("compare", _compare, "put all representations' scores side by side")
    path(compare, "comparisons")
    paths(compare, "scores")
    collect = add("collect", _collect, "collect all vectors in one AnnData file, with a 2-D map")
    path(collect, "folds")
    paths(collect, "embeddings")
    path(add("report", _report, "write one study's report"), "study-folder", "benchmarks")
    path(add("overview", _overview, "write the page over all studies"), "results")
    check = add("check", _check, "validate configuration and sheets without running anything", rule=False)
    check.add_argument("studies", nargs="*", help="studies to check; default: all of config/studies")
    check.add_argument("--config", type=Path, default=Path("config"), help="configuration folder")
    check.add_argument("--data-root", help="overrides `data_root`")
    stands = add("status", _status, "say what is done, what runs, what failed and why, and what comes next", rule=False)
    stands.add_argument("studies", nargs="*", help="studies to look at; default: those of config.yaml")
    stands.add_argument("--config", type=Path, default=Path("config"), help="configuration folder")
    stands.add_argument("--no-plan", action="store_true", help="do not ask Snakemake what a rerun would do")
    stands.add_argument("--json", action="store_true", help="print it for programs")
    cost = add("forecast", _forecast, "say what a table of studies would cost, before anything runs", rule=False)
    cost.add_argument("table", type=Path, help="TSV with a line a study: study, plates, images, bytes")
    cost.add_argument("--columns", nargs="*", default=[], metavar="WORD=NAME", help="what the table calls its columns")
    cost.add_argument("--like", default="demo", help="the study whose views, models and folds all others get")
    cost.add_argument("--config", type=Path, default=Path("config"), help="configuration folder")
    cost.add_argument("--results", type=Path, default=Path("results"), help="finished studies that rates come from")
    cost.add_argument("--gpu-tflops", type=float, default=20.0, help="what a GPU sustains; 0: no GPU (default: 20)")
    cost.add_argument("--folds", type=int, help="replaces the number of folds")
    cost.add_argument("--epochs", type=int, help="replaces the epochs of every model")
    cost.add_argument("--tile-size", type=int, help="replaces `tiles.size`")
    cost.add_argument("--stride", type=int, help="replaces `tiles.stride`")
    cost.add_argument("--objects-per-megapixel", type=float, dest="per_megapixel", help="for tables without `objects`")
    cost.add_argument("--one-plane", action="store_true", help="use one plane of each stack and film")
    cost.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    add_model_commands(add)
    manual = add("manual", _manual, "write config/README.md's tables and the JSON schemas again", rule=False)
    manual.add_argument("--config", type=Path, default=Path("config"), help="configuration folder")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a sentence on stderr when input or settings are bad."""
    arguments = _parser().parse_args(argv)
    if hasattr(arguments, "settings"):
        print("phenoloom " + shlex.join(sys.argv[1:] if argv is None else argv), file=sys.stderr, flush=True)
    try:
        arguments.run(arguments)
    except PhenoloomError as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", []))
        print(f"phenoloom {arguments.command}: {error}{notes}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        print(
            f"phenoloom {arguments.command}: it needs more memory than there is ({error or 'no more'}); choose smaller "
            "tiles or images, or ask for more memory",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        # Disk full, no permission, quota: the operating system's reason and the path say what to do.
        where = f" {error.filename}" if error.filename else ""
        print(
            f"phenoloom {arguments.command}: cannot read or write{where}: {error.strerror or error}. "
            "Nothing unfinished is kept as finished; free space or grant access, then rerun.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
