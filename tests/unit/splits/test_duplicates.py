from __future__ import annotations

import pandas as pd

from phenoloom.splits.duplicates import digests_of, merge_duplicates, with_copies


def rows(images: list[str], groups: list[str | None], digests: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({"image_id": images, "group": groups, "unit_group": groups, "digest": digests})


def test_images_without_a_digest_are_copies_of_nothing() -> None:
    table = rows(["1", "2", "3"], ["a", "b", "c"], ["d", "", None])
    assert digests_of(table) == {"d"}
    assert digests_of(table.drop(columns="digest")) == frozenset()
    merged, vanished = merge_duplicates(rows(["1", "2", "3", "4"], ["a", "b", "c", "d"], ["", "", None, None]))
    assert (merged.tolist(), vanished) == (["a", "b", "c", "d"], 0)


def test_a_chain_of_copies_is_one_group_under_its_smallest_name() -> None:
    table = rows(["1", "2", "3", "4", "5"], ["c", "b", "b", "a", "z"], ["x", "x", "y", "y", "other"])
    merged, vanished = merge_duplicates(table)
    assert (merged.tolist(), vanished) == (["a", "a", "a", "a", "z"], 2)


def test_objects_of_one_image_are_no_copies_of_each_other() -> None:
    merged, vanished = merge_duplicates(rows(["1", "1"], ["a", "b"], ["x", "x"]))
    assert (merged.tolist(), vanished) == (["a", "b"], 0)


def test_the_whole_group_of_a_copy_is_marked_and_a_row_without_a_group_by_its_image() -> None:
    table = rows(["1", "2", "3", "4", "5"], ["a", "a", "b", None, None], ["x", "y", "z", "x", "w"])
    assert with_copies(table, {"x"}).tolist() == [True, True, False, True, False]
    assert not with_copies(table, frozenset()).any()
