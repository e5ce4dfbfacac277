from __future__ import annotations

import hashlib

from phenoloom.core.seeds import stable_seed


def test_a_seed_is_the_start_of_the_sha256_of_its_parts() -> None:
    expected = int(hashlib.sha256(b"demo/vae/3").hexdigest()[:8], 16)
    assert stable_seed("demo", "vae", 3) == expected < 2**32
    assert stable_seed("demo", "vae", 4) != expected
