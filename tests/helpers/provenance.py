"""Provenance for steps whose settings a test does not look at."""

from __future__ import annotations

from phenoloom.artifacts.provenance import Provenance


def provenance(study: str = "test") -> Provenance:
    """Return the provenance of a study whose settings are empty."""
    return Provenance(study, {}, "0" * 64)
