"""Tell of a source in which many objects cannot be read."""

from __future__ import annotations

from typing import Final

from pipeline.core.findings import FindingKind
from pipeline.core.text import format_count
from pipeline.source.types import Source

_UNREADABLE: Final[frozenset[FindingKind]] = frozenset({"malformed", "class-out-of-range", "no-number"})
_MIN_OBJECTS: Final = 3
_MAX_SHARE: Final = 0.2
"""If more objects cannot be read, they are no single mistakes."""


def describe_dropped_objects(source: Source) -> list[str]:
    """Return a remark if more than a fifth of the objects are left out, because they cannot be read."""
    dropped = [
        (image.source, note.reason)
        for image in source.images
        for note in image.notes
        if note.dropped and note.kind in _UNREADABLE
    ]
    total = len(dropped) + sum(len(image.raw.classes) for image in source.images)
    if len(dropped) < _MIN_OBJECTS or len(dropped) <= _MAX_SHARE * total:
        return []
    name, reason = dropped[0]
    return [
        f"{len(dropped):,} of {format_count(total, 'object')} cannot be read and are left out, such as "
        f"{name}: {reason}"
    ]
