"""Find images that are byte for byte the same, and have different classes (classify)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.core.text import format_count
from pipeline.dataset.manifest import Manifest
from pipeline.prepare.ingest import IngestedImage


def describe_contradictions(images: Sequence[IngestedImage], manifest: Manifest) -> list[str]:
    """Return a remark if one picture is in several classes: one of its labels is wrong, and trains so.

    Args:
        images: Those that are used.
        manifest: Its task and class names; there is no remark for other tasks than classify.
    """
    if manifest.task != "classify":
        return []
    places: dict[str, list[IngestedImage]] = defaultdict(list)
    for image in images:
        places[image.sha256].append(image)
    several = [found for found in places.values() if len({_get_class(image) for image in found}) > 1]
    if not several:
        return []
    first = {_get_class(image): image.source for image in several[0]}
    shown = " and ".join(f"{source} ({manifest.names[cls]})" for cls, source in sorted(first.items()))
    counted = format_count(len(several), "picture is", "pictures are")
    return [f"{counted} in several classes, byte for byte, such as {shown}: leave out the wrong one"]


def _get_class(image: IngestedImage) -> int:
    return int(image.classes[0])
