"""Say why JSON files with images hold no objects: classes of images, panoptic segments, model output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.source.formats.coco.json_file import parse_json_file

_EXPECTED: Final = "expected annotations/*.json or */_annotations.coco.json with bbox or segmentation"


def refuse_unusable_files(paths: Sequence[Path], folder: Path) -> UserError:
    """Return the refusal of a source whose JSON files hold no objects."""
    reasons = (_explain(path) for path in paths)
    reason = next((reason for reason in reasons if reason), f"no COCO annotations in {folder}: {_EXPECTED}")
    return UserError(reason)


def _explain(path: Path) -> str:
    """Return why a file holds no objects; empty if that is not known."""
    try:
        data = parse_json_file(path)
    except UserError:
        return ""
    images, rows = (_list_rows(data, key) for key in ("images", "annotations"))
    if any("detections" in row for row in images):
        return (
            f"{path} lists the detections of a model (MegaDetector), not labels: have people check them, and "
            "export COCO or YOLO from there"
        )
    if any("segments_info" in row for row in rows):
        return (
            f"{path} holds panoptic segments: take the file of instances (instances_*.json) instead, or "
            "convert it with panopticapi (panoptic2detection_coco_format.py)"
        )
    if any("caption" in row for row in rows):
        return f"{path} holds captions, not objects: {_EXPECTED}"
    if any("category_id" in row for row in rows):
        return (
            f"{path} gives a category to whole images, and no bbox or segmentation: to classify images, put "
            "them into a folder per class, or write a CSV file with the columns filename,class"
        )
    return ""


def _list_rows(data: Any, key: str) -> list[dict[str, Any]]:
    rows = data.get(key) if isinstance(data, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
