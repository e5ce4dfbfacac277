"""The command that writes the manual's tables and the schemas of the configuration."""

from __future__ import annotations

import argparse

from .command import CONFIG_DIR, command


@command(CONFIG_DIR)
def manual(a: argparse.Namespace) -> None:
    """Write config/README.md's tables and the JSON schemas again."""
    from ..config.manual import write_manual

    write_manual(a.config_dir)
