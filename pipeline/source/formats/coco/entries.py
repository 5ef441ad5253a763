"""What a COCO dataset lists: its annotation files, and each image in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.source.formats.coco.categories import CategoryIndices
from pipeline.source.formats.coco.objects import JsonObject


class CocoFile(NamedTuple):
    """One annotation file.

    Attributes:
        path: The file.
        split: The split that its name or its folder states.
        data: The JSON.
        indices: Class indices by category id.
        image_folders: Where its images may be.
    """

    path: Path
    split: str | None
    data: Mapping[str, Any]
    indices: CategoryIndices
    image_folders: tuple[str, ...]


class CocoImage(NamedTuple):
    """One image in one annotation file.

    Attributes:
        file: The annotation file.
        image: Its row in `images`.
        annotations: Its rows in `annotations`.
        note: How the name of the image file differs from `file_name`.
    """

    file: CocoFile
    image: JsonObject
    annotations: tuple[JsonObject, ...]
    note: str = ""
