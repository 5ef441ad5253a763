"""Class numbers of public datasets of masks that come without a file of names: Cityscapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_CITYSCAPES_IDS: Final = {
    **{7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light"},
    **{20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car"},
    **{27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"},
}
"""Class numbers of Cityscapes that are evaluated; the others are ignored."""
_MAX_NUMBER: Final = 255


class OfficialClasses(NamedTuple):
    """The classes of a public dataset.

    Attributes:
        dataset: Its name.
        names: Names by number; `ignore` for numbers without a class.
        background: The number that means background, -1 if none does.
    """

    dataset: str
    names: Mapping[int, str]
    background: int


def find_official_classes(masks: Collection[Path]) -> OfficialClasses | None:
    """Recognize Cityscapes by the endings of all its masks: `_labelIds` or `_labelTrainIds`."""
    stems = [path.stem.lower() for path in masks]
    if stems and all(stem.endswith("_labelids") for stem in stems):
        return _build_classes(_CITYSCAPES_IDS, background=0)
    if stems and all(stem.endswith("_labeltrainids") for stem in stems):
        return _build_classes(dict(enumerate(_CITYSCAPES_IDS.values())), background=_MAX_NUMBER)
    return None


def _build_classes(names: Mapping[int, str], *, background: int) -> OfficialClasses:
    ignored = dict.fromkeys(range(_MAX_NUMBER + 1), "ignore")
    return OfficialClasses("Cityscapes", ignored | dict(names), background)
