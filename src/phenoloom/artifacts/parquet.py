"""Read Parquet tables of results, and facts that are kept in their schema's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import PhenoloomError
from .layout import step_of

TABLE_KEY = b"phenoloom"


def read_result(path: Path, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """Read a table that a step has written.

    Args:
        path: The table.
        columns: Columns to read; none: all.
        filters: Rows to read, as `pyarrow.parquet.read_table` takes them; none: all.

    Raises:
        PhenoloomError: It is missing, damaged or incomplete; the message names the step to run again.
    """
    with intact(path):
        # Without `partitioning`, a folder such as `plate=1` would add a column.
        return pq.read_table(path, columns=columns and list(columns), filters=filters, partitioning=None)


def read_result_schema(path: Path) -> pa.Schema:
    """Read the schema of a table that a step has written; raises PhenoloomError as `read_result` does."""
    with intact(path):
        return pq.read_schema(path)


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Turn what Arrow says of a damaged or missing table of results into a sentence that names it and its step."""
    step = step_of(path)
    again = f"its step, `{step}`, then makes it anew" if step else "its step then makes it anew"
    try:
        yield
    except FileNotFoundError:
        raise PhenoloomError(f"There is no table {path}; run the workflow again: {again}") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            # The disk, or permission: the table itself may be whole.
            raise
        raise PhenoloomError(
            f"The table {path} is damaged or incomplete ({' '.join(str(error).split())}); delete it and run the "
            f"workflow again: {again}"
        ) from None


def table_metadata(facts: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return schema metadata that holds `facts` under the key `phenoloom`."""
    return {TABLE_KEY: json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()}


def table_facts(schema: pa.Schema) -> dict[str, Any]:
    """Return the facts of a Parquet table; empty where it has none."""
    facts: dict[str, Any] = json.loads((schema.metadata or {}).get(TABLE_KEY, b"{}"))
    return facts
