"""The command line: one command a rule, named like it, and the commands of users.

Every command of a rule takes its settings as the canonical JSON text that the workflow passes, so a command copied from
a log does by hand exactly what the workflow did.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from ..core.errors import PhenoloomError
from . import cluster, embedding, evaluation, manual, models, report, shapes, splits, study, training
from .command import Command

COMMANDS: tuple[Command, ...] = (
    study.simulate,
    study.sheet,
    study.objects,
    study.convert,
    study.index,
    shapes.contours,
    shapes.distances,
    shapes.describe,
    splits.folds,
    training.tune,
    training.choose,
    training.pretrain,
    embedding.embed,
    embedding.transfer_embed,
    evaluation.classify,
    evaluation.transfer,
    evaluation.audit,
    evaluation.compare,
    embedding.collect,
    report.report,
    report.overview,
    study.check,
    cluster.status,
    cluster.forecast,
    models.apply,
    models.export,
    manual.manual,
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="phenoloom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
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
