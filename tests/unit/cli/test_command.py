"""Commands declared as functions."""

from __future__ import annotations

import argparse
from pathlib import Path

from phenoloom.cli.command import THREADS, Argument, command, paths, rule


@rule(paths("--shards"), THREADS)
def join_shards(a: argparse.Namespace) -> None:
    """Join all shards."""
    a.joined = a.shards


@command(Argument("study"))
def look(a: argparse.Namespace) -> None:
    """Look at a study."""


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for one in (join_shards, look):
        one.add_to(commands)
    return parser.parse_args(words)


def test_a_rule_takes_its_settings_and_its_output_before_its_own_arguments() -> None:
    a = parse("join_shards", "--settings", "{}", "--output", "out", "--shards", "0", "1")
    a.run(a)
    assert (a.settings, a.output, a.joined, a.threads) == ("{}", Path("out"), [Path("0"), Path("1")], 1)


def test_a_command_has_the_name_of_its_function_and_its_own_arguments_alone() -> None:
    a = parse("look", "demo")
    assert (a.study, a.run) == ("demo", look.run)
    assert not hasattr(a, "settings")
