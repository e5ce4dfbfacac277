"""Read and write facts about a Parquet table in its schema's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

TABLE_KEY = b"phenoloom"


def table_metadata(facts: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return schema metadata that holds `facts` under the key `phenoloom`."""
    return {TABLE_KEY: json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()}


def table_facts(schema: pa.Schema) -> dict[str, Any]:
    """Return the facts of a Parquet table; empty where it has none."""
    facts: dict[str, Any] = json.loads((schema.metadata or {}).get(TABLE_KEY, b"{}"))
    return facts
