"""Commands about work on a cluster: its state, and what it would cost."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .command import CONFIG, CONFIG_DIR, Argument, command


@command(
    Argument("studies", nargs="*", help="studies to look at; default: those of config.yaml"),
    CONFIG,
    CONFIG_DIR,
    Argument("--no-plan", action="store_true", help="do not ask Snakemake what a rerun would do"),
    Argument("--json", action="store_true", help="print it for programs"),
)
def status(a: argparse.Namespace) -> None:
    """Say what is done, what runs, what failed and why, and what comes next."""
    from ..cluster.status import status

    if not status(a.studies, a.config, a.config_dir, planned=not a.no_plan, as_json=a.json):
        sys.exit(1)


@command(
    Argument("table", type=Path, help="TSV with a line a study: study, plates, images, bytes"),
    Argument("--columns", nargs="*", default=[], metavar="WORD=NAME", help="what the table calls its columns"),
    Argument("--like", default="demo", help="the study whose views, models and folds all others get"),
    CONFIG,
    CONFIG_DIR,
    Argument("--gpu-tflops", type=float, default=20.0, help="what a GPU sustains; 0: no GPU (default: 20)"),
    Argument("--folds", type=int, help="replaces the number of folds"),
    Argument("--epochs", type=int, help="replaces the epochs of every model"),
    Argument("--tile-size", type=int, help="replaces `tiles.size`"),
    Argument("--stride", type=int, help="replaces `tiles.stride`"),
    Argument("--objects-per-megapixel", type=float, dest="per_megapixel", help="for tables without `objects`"),
    Argument("--one-plane", action="store_true", help="use one plane of each stack and film"),
    Argument("--json", action="store_true", dest="as_json", help="print JSON"),
)
def forecast(a: argparse.Namespace) -> None:
    """Say what a table of studies would cost, before anything runs."""
    from ..cluster.forecast.command import Question, parse_columns, print_forecast
    from ..config import read_config

    results = Path(read_config(a.config_dir, a.config).results)
    asked = {k: v for k, v in vars(a).items() if k in Question.__dataclass_fields__ and k != "columns"}
    print_forecast(Question(**asked, columns=parse_columns(a.columns), results=results))
