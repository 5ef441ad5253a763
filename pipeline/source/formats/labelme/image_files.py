"""List the images of a LabelMe dataset, without masks and what LabelMe's converters have written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pipeline.source.reading.file_tree import list_images

_MASK_FOLDER: Final = re.compile(
    r"^(Masks|Scribbles|Visualization|Segmentation(Class|Object)(PNG|Visualization)?)$"
)
"""Folders of masks of the web tool, and those that labelme2voc and labelme2coco write."""
_COPIES_FOLDER: Final = "JPEGImages"
"""The folder into which labelme2voc and labelme2coco copy the images."""
_CONVERTED_STEMS: Final = {"img", "label", "label_viz"}
"""Images in the folder NAME_json that labelme_json_to_dataset writes."""


def list_labeled_images(folder: Path) -> list[Path]:
    """List the images that may have annotations: no masks, no overlays, and no copies of images."""
    found = list_images(folder)
    unwanted = {place for place in {path.parent for path in found} if _is_mask_folder(place, folder)}
    images = [path for path in found if path.parent not in unwanted and not _is_converted(path)]
    originals = {path.stem for path in images if path.parent.name != _COPIES_FOLDER}
    if not unwanted or not originals:
        return images
    return [path for path in images if path.parent.name != _COPIES_FOLDER or path.stem not in originals]


def _is_mask_folder(place: Path, folder: Path) -> bool:
    return any(map(_MASK_FOLDER.match, place.relative_to(folder).parts))


def _is_converted(path: Path) -> bool:
    return path.parent.name.endswith("_json") and path.stem in _CONVERTED_STEMS
