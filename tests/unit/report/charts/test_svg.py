from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from phenoloom.report.charts.svg import CATEGORIES, GLYPHS, colour, tick_labels, ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 8))
def test_ticks_lie_between_the_limits_at_equal_steps_with_different_labels(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * span <= value <= low + span * (1 + 1e-6) for value in found)
    assert len(set(tick_labels(found))) == len(found)


def test_every_category_has_a_colour_and_glyph_of_its_own() -> None:
    assert len({(colour(i), GLYPHS[i % len(GLYPHS)]) for i in range(CATEGORIES)}) == CATEGORIES
