from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from phenoloom.images.objects import LeftOut
from phenoloom.report.loss_caveats import differs, loss_caveats

CONVERT: dict[str, Any] = {"tiles": {"size": 96, "min_foreground": 0.1}, "masks": {"min_area_px": 60}}


def caveats(*reasons: dict[str, Any], fitting_px: int | None = None, shapes: bool = False) -> list[str]:
    index = {"losses": {"reasons": [*reasons], "fitting_px": fitting_px}, "settings": {"shapes": shapes}}
    results = SimpleNamespace(manifests={"index": [index]}, convert_settings=CONVERT)
    # Fixed and thin spaces, as the report writes them.
    return [text.replace("\u202f", ",").replace("\xa0", " ") for text in loss_caveats(results)]  # type: ignore[arg-type]


def loss(reason: str, **classes: tuple[int, int]) -> dict[str, Any]:
    lost, of = (sum(pair[i] for pair in classes.values()) for i in (0, 1))
    return {"reason": str(reason), "lost": lost, "of": of, "classes": classes}


def test_objects_larger_than_the_window_are_told_with_their_classes_and_the_size_that_would_keep_them() -> None:
    large = loss(LeftOut.TOO_LARGE, A=(141, 160), B=(120, 157))
    assert caveats(large, fitting_px=160) == [
        "82.3 % of the objects (261 of 317) are larger than the window of 96 px and were left out: 88.1 % of A and "
        "76.4 % of B; tiles.size: 160 would keep 99 %."
    ]
    assert "have an outline but no tile: 88.1 % of A" in caveats(large, fitting_px=160, shapes=True)[0]


def test_a_loss_that_differs_between_classes_is_told_even_if_it_is_small() -> None:
    (sentence,) = caveats(loss(LeftOut.AT_IMAGE_BORDER, A=(12, 100), B=(0, 2000)))
    assert sentence == (
        "0.6 % of the objects (12 of 2,100) touch the border of the image and were left out: 12.0 % of A and 0.0 % of "
        "B; tiles.border: keep keeps them. The loss differs between classes."
    )


@pytest.mark.parametrize(
    "classes",
    [{"A": (2, 100), "B": (1, 100)}, {"A": (3, 100), "B": (3, 100)}, {"A": (1, 4), "B": (0, 100)}, {}],
    ids=["two and one per cent", "three per cent", "one object of a small class", "nothing"],
)
def test_a_small_loss_that_chance_explains_needs_no_caveat(classes: dict[str, tuple[int, int]]) -> None:
    assert caveats(loss(LeftOut.TOO_LARGE, **classes), fitting_px=120) == []


def test_classes_differ_only_by_more_than_a_few_points_and_more_than_chance() -> None:
    assert differs(loss("x", A=(300, 1000), B=(200, 1000)))
    assert not differs(loss("x", A=(240, 1000), B=(200, 1000)))
    assert not differs(loss("x", A=(4, 20), B=(2, 20)))


def test_of_many_classes_only_the_extremes_are_named() -> None:
    (sentence,) = caveats(loss(LeftOut.BACKGROUND, **{f"c{i}": (10 * i, 200) for i in range(8)}))
    assert sentence == (
        "17.5 % of the tiles (280 of 1,600) have less foreground than tiles.min_foreground = 0.1 and were left out: "
        "from 0.0 % of c0 to 35.0 % of c7. The loss differs between classes."
    )


@pytest.mark.parametrize(
    # Those two are reasons why a row of the table of objects has no object, and no object is lost.
    "reason",
    sorted(set(LeftOut) - {LeftOut.ON_BACKGROUND, LeftOut.IN_NO_KEPT_OBJECT}),
)
def test_every_reason_has_its_sentence(reason: LeftOut) -> None:
    (sentence,) = caveats(loss(reason, A=(50, 100), B=(0, 100)))
    assert reason not in sentence
    assert "50.0 % of A" in sentence
    assert sentence.endswith(".")


def test_images_that_cannot_be_used_are_told_only_where_classes_differ() -> None:
    assert caveats(loss(LeftOut.UNUSABLE, A=(10, 100), B=(9, 100))) == []
    assert caveats(loss(LeftOut.UNUSABLE, A=(30, 100), B=(0, 100))) == [
        "Images that cannot be used are not equally frequent in all classes: 30.0 % of A and 0.0 % of B."
    ]
