"""Dotted keys and nested mappings."""

from __future__ import annotations

from phenoloom.config.keys import merged, nested


def test_values_by_dotted_key_become_nested_mappings() -> None:
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_mappings_are_merged_key_by_key_and_everything_else_is_replaced() -> None:
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1, 2], "f": 3}
    assert merged(base, {"a": {"c": {"d": 5}}, "e": [3], "f": {"g": 1}}) == {
        "a": {"b": 1, "c": {"d": 5}},
        "e": [3],
        "f": {"g": 1},
    }
    assert base["a"] == {"b": 1, "c": {"d": 2}}


def test_none_replaces_a_section() -> None:
    assert merged({"variants": {"patch": [2]}}, {"variants": None}) == {"variants": None}
