"""Print a picture of the packages in Graphviz's language, from the plan that a test holds the code to.

An arrow leads from a package to the ones that it may import. Of packages that it also reaches through others there is
no arrow. `make picture` draws it.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def graph(may_import: dict[str, set[str]]) -> str:
    """Return the graph of the packages; `cli`, which may import all, is at the top."""
    needs = {name: {target.split(".")[0] for target in targets} for name, targets in may_import.items()}
    needs["cli"] = set(may_import)
    arrows = [f"  {name} -> {target};" for name, targets in sorted(needs.items()) for target in sorted(targets)]
    style = [
        "  graph [bgcolor=white, ranksep=0.35, nodesep=0.25];",
        '  node [shape=box, style=rounded, fontname=sans, fontsize=11, height=0.3, color="#0a6a8f"];',
        "  edge [color=grey, arrowsize=0.6];",
    ]
    return "\n".join(["digraph packages {", *style, *arrows, "}"])


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    from tests.unit.test_floors import MAY_IMPORT

    print(graph(MAY_IMPORT))
