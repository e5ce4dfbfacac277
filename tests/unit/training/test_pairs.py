"""Pairs of items by what a study knows about them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoloom.core.errors import PhenoloomError
from phenoloom.training.pairs import KINDS, pair_keys, with_partners


def table() -> pd.DataFrame:
    rows = [(p, w, f"{p}/{w}/{i}") for p in ("P1", "P2") for w in ("A1", "A2", "A3") for i in range(3)]
    frame = pd.DataFrame(rows, columns=["plate", "well", "id"])
    frame["group"] = frame["well"].map({"A1": "drug", "A2": "drug", "A3": None})
    frame["label"] = "sick"
    return frame


def test_keys_say_what_an_item_is_and_where_it_was_found() -> None:
    frame = table()
    for kind, (column, places) in KINDS.items():
        keys = pair_keys(frame, kind)
        for i in range(len(frame)):
            for j in range(len(frame)):
                known = i == j or frame[column].notna()[[i, j]].all()
                same = known and (i == j or frame[column][i] == frame[column][j])
                assert (keys[i, 0] == keys[j, 0]) == same
                assert (keys[i, 1] == keys[j, 1]) == all(frame[p][i] == frame[p][j] for p in places)


def test_items_with_several_labels_belong_together_if_they_share_them_all() -> None:
    frame = table().head(4)
    frame["label"] = [["a", "b"], ["b", "a"], ["a"], np.array(["a"])]
    assert pair_keys(frame, "labels")[:, 0].tolist() == [1, 1, 0, 0]


def test_a_study_without_partners_is_refused() -> None:
    alone = table()
    alone["group"] = alone["plate"] + alone["well"]
    with pytest.raises(PhenoloomError, match="different plate and well, found none"):
        pair_keys(alone, "replicates")


def test_every_row_comes_once_and_meets_a_partner_in_its_batch() -> None:
    frame = pd.concat([table()] * 20, ignore_index=True)
    keys = pair_keys(frame, "wells")
    rows = np.arange(5, len(frame))
    order = with_partners(rows, keys, seed=1, epoch=2)
    assert sorted(order) == rows.tolist()
    partner = (keys[order[:-1], 0] == keys[order[1:], 0]) & (keys[order[:-1], 1] != keys[order[1:], 1])
    beside = np.append(partner, False) | np.insert(partner, 0, False)
    assert beside.mean() > 0.9
    assert np.array_equal(order, with_partners(rows, keys, seed=1, epoch=2))
    assert not np.array_equal(order, with_partners(rows, keys, seed=1, epoch=3))
    # and neighbouring couples are not all of one kind
    assert len(set(keys[order[:24], 0])) > 1
