"""Errors that reach a user: sentences with what was expected, what was found, where, and what to do."""

from __future__ import annotations


class PhenoloomError(Exception):
    """Bad input or settings; the message is a sentence for the user and is printed without a traceback."""


class ImageError(PhenoloomError):
    """One image cannot be used; the message is its reason in the quarantine table."""


class TrainingFailedError(PhenoloomError):
    """A training failed because of its settings: with the same settings it would fail again, on any machine."""
