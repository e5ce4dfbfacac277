"""`phenoloom status`: the progress of a run, from its files and the queue; nothing needs to run for it."""

from .command import status

__all__ = ["status"]
