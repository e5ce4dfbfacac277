"""Make seeds for random generators."""

from __future__ import annotations

import hashlib


def stable_seed(*parts: object) -> int:
    """Return a 32-bit seed that is the same in every process and version for the same parts."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big")
