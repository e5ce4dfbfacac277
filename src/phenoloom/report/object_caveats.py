"""What became of the table of objects: rows that belong to nothing, and objects without a label of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .numbers import amount, count
from .results import Results


def object_caveats(results: Results) -> Iterator[str]:
    """Yield a sentence for each kind of row or object that has no partner, with an example."""
    stated: Mapping[str, Any] | None = results.manifests.get("index", [{}])[0].get("objects")
    if not stated:
        return
    table = stated["table"]
    lost = {
        "of no image of the study": stated["rows_without_image"],
        "without a usable number or point": stated["unusable_rows"],
        **{f"of no object ({why})": some for why, some in stated["rows_without_object"].items()},
    }
    for what, some in lost.items():
        if some["count"]:
            total = count(stated["rows"])
            yield f"Rows of {table} {what}: {count(some['count'])} of {total}, for example {some['examples'][0]}."
    if number := stated["repeated_points"]["count"]:
        yield (
            f"Rows of {table} at exactly the place of an earlier row: {count(number)} of {count(stated['rows'])}, each "
            f"an object of its own, for example {stated['repeated_points']['examples'][0]}; remove them if they were "
            "written twice."
        )
    if number := stated["rows_in_quarantine"]:
        yield f"{amount(number, 'row')} of {table} without an object, because the image is in quarantine."
    if number := stated["contradictory_objects"]["count"]:
        first = stated["contradictory_objects"]["examples"][0]
        yield (
            f"{amount(number, 'object')} without a label or group, because rows of {table} contradict each other, for "
            f"example {first}."
        )
    if number := stated["objects_without_row"]:
        yield f"{amount(number, 'object')} without a row in {table}, and so without a label or group from there."
