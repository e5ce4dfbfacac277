"""Canonical JSON: one text for equal values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoloom.core.canonical_json import canonical_json


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=5))
def test_canonical_text_does_not_depend_on_the_order_of_keys(values: dict[str, Any]) -> None:
    assert canonical_json(values) == canonical_json(dict(reversed(values.items())))
    assert json.loads(canonical_json(values)) == values


def test_the_text_has_no_spaces_and_keeps_letters() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "µm"}) == '{"a":"µm","b":[1,2.5,null]}'


def test_numbers_without_a_value_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
