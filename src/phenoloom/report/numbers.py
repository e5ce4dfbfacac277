"""Numbers as text, with the same digits and signs everywhere in the report."""

from __future__ import annotations

import math

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
GAP = "\N{NO-BREAK SPACE}"


def count(value: int | float | None) -> str:
    """Format a whole number with thin spaces between thousands: `12 345`."""
    return MISSING if _missing(value) else f"{round(value or 0):,}".replace(",", THIN).replace("-", MINUS)


def score(value: float | None, digits: int = 3) -> str:
    """Format a score with three decimals: `0.812`."""
    # z: a value that rounds to zero has no sign.
    return MISSING if _missing(value) else f"{value:z.{digits}f}".replace("-", MINUS)


def plus_minus(value: float | None, sd: float | None, digits: int = 3) -> str:
    """Format a mean with its standard deviation, `0.812 ± 0.031`, or alone if `sd` is missing."""
    if _missing(value) or _missing(sd):
        return score(value, digits)
    return f"{score(value, digits)}{GAP}±{GAP}{score(sd, digits)}"


def signed(value: float | None, sd: float | None = None, digits: int = 3) -> str:
    """Format a difference with its sign: `+0.042 ± 0.020`."""
    text = plus_minus(value, sd, digits)
    return text if _missing(value) or (value or 0) < 0 else f"+{text}"


def percent(fraction: float | None) -> str:
    """Format a fraction as a percentage with one decimal: `2.5 %`."""
    return MISSING if _missing(fraction) else f"{100 * (fraction or 0):.1f}{GAP}%"


def duration(seconds: float | None) -> str:
    """Format a time: `3.2 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{GAP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{GAP}min{GAP}{rest:02d}{GAP}s"
    return f"{minutes // 60}{GAP}h{GAP}{minutes % 60:02d}{GAP}min"


def memory(megabytes: float | None) -> str:
    """Format memory in MiB, the unit of Snakemake's benchmark files: `512 MB`, `1.2 GB`."""
    if megabytes is None or math.isnan(megabytes):
        return MISSING
    return f"{megabytes:.0f}{GAP}MB" if megabytes < 1000 else f"{megabytes / 1024:.1f}{GAP}GB"


def amount(number: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun: `1 image`, `12 345 images`.

    Args:
        number: the count.
        one: the noun in the singular.
        many: the noun in the plural; by default `one` with an s.
    """
    return f"{count(number)}{GAP}{one if number == 1 else many or one + 's'}"


def listing(names: list[str], most: int = 8) -> str:
    """Join names as in a sentence, `a, b and c`; after the first `most` names only count the rest."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {count(len(names) - most)} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
