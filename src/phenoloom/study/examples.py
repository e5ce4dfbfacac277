"""Count things of a kind, and keep the names of the first of them for messages and manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_EXAMPLES = 10
"""Names that are kept of a kind."""


@dataclass(slots=True)
class Examples:
    """How many there are of a kind, and the names of the first.

    Attributes:
        count: The number.
        names: At most the first `MOST_EXAMPLES` names.
    """

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, names: Sequence[str], count: int | None = None) -> None:
        """Add things by name.

        Args:
            names: Their names, or the first of them.
            count: Their number, if these are not all names.
        """
        self.count += len(names) if count is None else count
        # A name that is not UTF-8 cannot be written into a manifest.
        first = [name.encode(errors="backslashreplace").decode() for name in names[: MOST_EXAMPLES - len(self.names)]]
        self.names += first

    @property
    def wanted(self) -> bool:
        """Whether the name of another one would be kept."""
        return len(self.names) < MOST_EXAMPLES

    def facts(self) -> dict[str, Any]:
        """Return both for a manifest."""
        return {"count": self.count, "examples": self.names}


def examples_of(names: Sequence[str], count: int | None = None) -> dict[str, Any]:
    """Return the count and the first of some names for a manifest; see `Examples.add`."""
    examples = Examples()
    examples.add(names, count)
    return examples.facts()
