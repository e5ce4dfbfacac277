"""Commands of the command line, declared as functions with their arguments.

A function under `command`, or under `rule` for a rule of the workflow, is the command of its name; its docstring is the
help. A line in the table of `main.py` puts it on the command line. Each function imports what it runs, so that the
command line starts in a moment: most steps need no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Run = Callable[[argparse.Namespace], None]
Subparsers = argparse._SubParsersAction  # argparse gives this class no public name


class Argument:
    """One argument of a command: what `argparse.ArgumentParser.add_argument` takes."""

    def __init__(self, *flags: str, **options: Any) -> None:
        self.flags = flags
        self.options = options


@dataclass(frozen=True)
class Command:
    """A command: its arguments, and the function that runs it."""

    arguments: tuple[Argument, ...]
    run: Run

    def add_to(self, commands: Subparsers[argparse.ArgumentParser]) -> None:
        """Add the command to the command line, with the name and the docstring of its function."""
        sentence = (self.run.__doc__ or "").rstrip(".")
        summary = sentence[:1].lower() + sentence[1:]
        parser = commands.add_parser(self.run.__name__, help=summary, description=summary)
        parser.set_defaults(run=self.run)
        for argument in self.arguments:
            parser.add_argument(*argument.flags, **argument.options)


def command(*arguments: Argument) -> Callable[[Run], Command]:
    """Return a decorator that makes a command of a function."""
    return lambda run: Command(arguments, run)


def rule(*arguments: Argument) -> Callable[[Run], Command]:
    """Return a decorator that makes the command of a rule: with its settings and its output."""
    settings = Argument("--settings", required=True, help="the rule's settings: canonical JSON")
    output = Argument("--output", required=True, type=Path, help="the file that is written last")
    return command(settings, output, *arguments)


def path(name: str) -> Argument:
    """Return a required argument that is a path."""
    return Argument(name, required=True, type=Path)


def optional_path(name: str) -> Argument:
    """Return an argument that is a path or None."""
    return Argument(name, type=Path)


def paths(name: str) -> Argument:
    """Return an argument that is a list of paths, empty by default."""
    return Argument(name, nargs="*", default=[], type=Path)


def scratch(meaning: str) -> Argument:
    """Return the argument that names a folder on the disk of the machine where the command runs."""
    return Argument("--scratch", default="", help=f"folder on this machine's disk, {meaning}; variables too")


THREADS = Argument("--threads", type=int, default=1)
SHARD = Argument("--shard", required=True)
CONFIG_DIR = Argument("--config-dir", type=Path, default=Path("config"), help="folder of the configuration")
CONFIG = Argument(
    "--config",
    nargs="*",
    action="extend",
    default=[],
    metavar="KEY=VALUE",
    help="replace keys of config.yaml, as Snakemake's --config does",
)
