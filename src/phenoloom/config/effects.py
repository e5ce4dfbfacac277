"""Refuse keys of masks that would change nothing beside the others of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .source import Masks, Source
    from .study import Tiles

_OF_FILES = {
    "plane": "it names a page of mask files",
    "image": "it names one of several images in mask files",
    "level": "it names a resolution of mask files",
    "values": "it names values of a mask file",
    "invert_when_border_is_foreground": "it inverts mask files; whether objects are darker than the field is said by "
    "`source.polarity: dark`",
}
_OF_SEGMENTATION = {
    "channel": "it names the channel that is segmented",
    "smoothing_px": "it smooths images before they are segmented",
    "split_distance_px": "it separates objects that are segmented",
}


def refuse_masks_without_effect(source: Source) -> None:
    """Raise ValueError for a key of `masks`, or for `polarity`, that the kind of masks leaves without effect."""
    masks = source.masks
    if source.polarity != "auto" and (source.outlines or (masks and masks.files)):
        kind = "outlines" if source.outlines else "mask files"
        inverted = (
            "" if source.outlines else "; a binary mask is inverted by `masks.invert_when_border_is_foreground: true`"
        )
        raise ValueError(
            f"`polarity` says how images are segmented by threshold, and objects come from {kind} here; "
            f"leave it out{inverted}"
        )
    if masks is None:
        return
    if source.outlines:
        raise ValueError("`masks` are objects in images, and `outlines` are objects already; leave out `masks`")
    if masks.files:
        _refuse(masks, _OF_SEGMENTATION, "with `masks.files` nothing is segmented")
    else:
        _refuse(masks, _OF_FILES, "without `masks.files` images are segmented by threshold")
    if masks.objects != "labels" and not masks.files:
        why = f"with `masks.objects: {masks.objects}` objects that touch are not separated"
        _refuse(masks, {"split_distance_px": _OF_SEGMENTATION["split_distance_px"]}, why)
    if masks.objects == "labels" and masks.invert_when_border_is_foreground:
        raise ValueError(
            "`masks.invert_when_border_is_foreground` needs a binary mask, so `masks.objects` must be `components` or "
            "`one`, found `labels`"
        )


def refuse_tiles_without_effect(source: Source, tiles: Tiles | None) -> None:
    """Raise ValueError for a key that the mode of the tiles leaves without effect."""
    if tiles is None:
        return
    if tiles.mode == "grid" and source.masks:
        _refuse(source.masks, {"min_area_px": "it leaves out small objects"}, "a grid has tiles and not objects")
    if tiles.mode == "objects" and tiles.min_foreground:
        raise ValueError(
            "`tiles.min_foreground` leaves out tiles of a grid, and with `tiles.mode: objects` each tile has an "
            "object; leave it out, or leave out small objects by `source.masks.min_area_px`"
        )


def _refuse(masks: Masks, keys: dict[str, str], why: str) -> None:
    for key, meaning in keys.items():
        # A default that is written down changes nothing and claims nothing.
        if getattr(masks, key) != type(masks).model_fields[key].default:
            raise ValueError(f"`masks.{key}` has no effect here: {meaning}. {why[0].upper()}{why[1:]}; leave it out")
