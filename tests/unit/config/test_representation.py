"""Representations: keys that fit together, names of encoders, and families of seeds."""

from __future__ import annotations

from typing import Any

import pytest

from phenoloom.config.representation import Draw, Representation, families, standing


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "give exactly one of `descriptors`, `model` and `concatenate`"),
        ({"descriptors": "efd", "concatenate": ["a", "b"]}, "give exactly one of"),
        ({"concatenate": ["a"]}, "at least 2 items"),
        ({"concatenate": ["a", "a"]}, "must name each representation once"),
        ({"descriptors": "efd", "untrained": True}, "belong to models"),
        ({"model": "m", "untrained": True, "trained_on": ["a"]}, "belongs to models that are trained"),
        ({"model": "m", "trained_on": ["a", "a"]}, "must name each study once"),
        ({"model": "m", "shared_groups": "keep"}, "is about other studies"),
    ],
)
def test_keys_that_do_not_fit_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Representation(**values)


def test_an_encoder_is_named_after_its_model_and_the_studies_it_is_trained_on() -> None:
    assert Representation(descriptors="efd").encoder is None
    assert Representation(model="m").encoder == "m"
    mixed = Representation(model="m", trained_on=["b", "a"])
    assert (mixed.encoder, mixed.trained_here("a"), mixed.trained_here("c")) == ("m.on-a_b", True, False)
    assert Representation(model="m").trained_here("c")


def test_a_draw_is_no_part_of_what_a_representation_is() -> None:
    entry = Representation(model="m")
    assert entry.drawn(Draw("m", 3)).draw == Draw("m", 3)
    assert entry.drawn(Draw("m", 3)).model_dump() == entry.model_dump()
    assert entry.draw is None


def test_draws_of_one_name_are_a_family_and_one_alone_is_none() -> None:
    entry = Representation(model="m")
    entries = {
        "props": Representation(descriptors="regionprops"),
        "m.seed-5": entry.drawn(Draw("m", 5)),
        "once.seed-7": entry.drawn(Draw("once", 7)),
        "m.seed-0": entry.drawn(Draw("m", 0)),
    }
    assert families(entries) == {"m": {"m.seed-5": 5, "m.seed-0": 0}}
    assert standing(list(entries), families(entries)) == ["props", "m", "once.seed-7"]
