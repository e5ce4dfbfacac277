"""Compare names of wells: "A1", "A01", "a - 001", "Well A_1" and "r01c01" are the same well."""

from __future__ import annotations

import re
from functools import lru_cache

_GAP = r"[\s_.,:;/-]*"
_WELL = rf"\s*(?:well{_GAP})?"
# Rows after Z begin with A on every plate that is made: 1536 wells end at AF, 3456 wells at AV.
_LETTERS = re.compile(
    rf"{_WELL}(?:row{_GAP})?(A?[A-Z]){_GAP}(?:(?:column|col){_GAP})?0*([1-9][0-9]*)\s*", re.IGNORECASE
)
_NUMBERS = re.compile(
    rf"{_WELL}r(?:ow)?{_GAP}0*([1-9][0-9]*){_GAP}c(?:ol(?:umn)?)?{_GAP}0*([1-9][0-9]*)\s*", re.IGNORECASE
)


@lru_cache(maxsize=4096)
def row_and_column(well: str) -> tuple[str, str] | tuple[None, None]:
    """Return row ("A" ... "Z", "AA" ...) and column ("1" ...) of a well, or two Nones where its name holds neither."""
    if found := _NUMBERS.fullmatch(well):
        return row_letters(int(found[1]) - 1), found[2]
    if found := _LETTERS.fullmatch(well):
        return found[1].upper(), found[2]
    return None, None


def row_letters(row: int) -> str:
    """Return the letters of a row counted from 0: "A" ... "Z", then "AA" as on plates of 1536 wells."""
    return chr(ord("A") + row) if row < 26 else row_letters(row // 26 - 1) + row_letters(row % 26)


def same_well(well: str) -> str:
    """Return one spelling for all names of a well; other text as it is."""
    row, column = row_and_column(well)
    return f"{row}{column}" if row is not None else well
