from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.core.spread import spread_positions


@given(st.integers(0, 300))
def test_every_position_comes_once(n: int) -> None:
    assert sorted(spread_positions(n)) == list(range(n))


@given(st.integers(32, 100_000_000))
def test_the_first_positions_lie_all_over_the_range(n: int) -> None:
    first = list(islice(spread_positions(n), 16))
    assert first[:3] == [0, n // 2, n // 4]
    assert np.diff(sorted([*first, n])).max() <= n / 16 + 1
