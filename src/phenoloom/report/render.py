"""Render templates to a self-contained page: style and script inline, all text escaped, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..core.atomic import write_atomically

TEMPLATES = files(__package__) / "templates"


def render(template: str, output: Path, **context: Any) -> None:
    """Render a template with the page's style and script, and write the page atomically.

    Args:
        template: file name in `templates/`.
        output: path of the page.
        context: values that the template shows.
    """
    script = _asset("page.js")
    # With this policy the browser itself refuses any other script and every request, whatever names contain.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    html = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(_asset("page.css")),
            script=Markup(script),
            policy=policy,
            **context,
        )
    )
    write_atomically(output, lambda file: file.write(html.encode()))


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("phenoloom.report"),
        # By name, autoescape would be off for `.html.j2`: escape everything.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
