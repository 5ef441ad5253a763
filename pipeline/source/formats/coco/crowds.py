"""Decide whether COCO annotations with iscrowd are objects: CVAT writes every brush mask so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.core.text import format_count
from pipeline.source.formats.coco.shapes import parse_segmentation
from pipeline.source.plausibility.image_sizes import choose_evenly

CocoJson = Mapping[str, Any]

_MAX_CHECKED_MASKS: Final = 200
_MIN_CROWD_SHARE: Final = 0.2
"""In COCO itself, 1% of the annotations are crowds."""
_MIN_CROWDS: Final = 3
_NEARLY_ALL: Final = 0.9


def resolve_crowds(files: Sequence[CocoJson], policy: str) -> tuple[str, ...]:
    """Mark the crowds that are objects as such (iscrowd 0), and say what was decided.

    Args:
        files: The parsed files; their annotations are changed.
        policy: As in data.crowds: ignore, objects; auto: objects if CVAT wrote them, or if a fifth of the
            annotations are crowds and nearly each of them is one connected shape.
    """
    rows = [row for file in files for row in file["annotations"]]
    crowds = [row for row in rows if row.get("iscrowd")]
    if not crowds:
        return ()
    number = f"{len(crowds)} of {format_count(len(rows), 'annotation')}"
    reason = "as data.crowds says" if policy == "objects" else _find_evidence(crowds, len(rows))
    if policy == "ignore" or not reason:
        return (f"{number} are crowds (iscrowd), {_describe_images(files)}: left out{_ADVICE[policy]}",)
    for row in crowds:
        row["iscrowd"] = 0
    return (f"{number} have iscrowd, but are read as objects: {reason}",)


_ADVICE: Final = {"ignore": "", "auto": "; if they are single objects, set data.crowds=objects"}


def _find_evidence(crowds: Sequence[Mapping[str, Any]], total: int) -> str:
    """Return why crowds are single objects; empty if nothing shows that they are."""
    masks = [row for row in crowds if isinstance(row.get("segmentation"), dict)]
    from_cvat = sum("occluded" in _get_attributes(row) for row in masks)
    if from_cvat >= _NEARLY_ALL * len(crowds):
        return "CVAT writes each brush mask so (data.crowds=ignore leaves them out)"
    checked = choose_evenly(crowds, _MAX_CHECKED_MASKS)
    connected = sum(len(parse_segmentation(row).parts) == 1 for row in checked)
    are_many = len(crowds) >= _MIN_CROWDS and len(crowds) > _MIN_CROWD_SHARE * total
    if are_many and connected >= _NEARLY_ALL * len(checked):
        return "nearly each is one connected shape (data.crowds=ignore leaves them out)"
    return ""


def _get_attributes(row: Mapping[str, Any]) -> Mapping[str, Any]:
    attributes = row.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _describe_images(files: Sequence[CocoJson]) -> str:
    """Return how many images have crowds."""
    total = sum(len(file["images"]) for file in files)
    found = sum(
        len({str(row.get("image_id")) for row in file["annotations"] if row.get("iscrowd")}) for file in files
    )
    return f"in {found} of {format_count(total, 'image')} ({found / max(1, total):.0%})"
