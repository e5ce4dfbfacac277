from __future__ import annotations

from phenoloom.report.numbers import count, duration, listing, memory, percent, plus_minus, score, signed


def test_numbers_have_the_same_digits_and_real_minus_signs() -> None:
    assert plus_minus(0.81234, 0.0312) == "0.812\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.031"
    assert plus_minus(0.5, float("nan")) == "0.500"
    assert signed(-0.05) == "\N{MINUS SIGN}0.050"
    assert signed(0.05).startswith("+0.050")
    assert signed(-0.0) == "+0.000"
    assert score(-0.0001) == "0.000"
    assert count(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert count(None) == plus_minus(None, None) == percent(float("nan")) == "–"
    assert duration(3723.4) == "1\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}02\N{NO-BREAK SPACE}min"
    assert duration(59.96).startswith("60.0")
    assert memory(2048) == "2.0\N{NO-BREAK SPACE}GB"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([str(i) for i in range(10)], most=2) == "0, 1 and 8 more"
