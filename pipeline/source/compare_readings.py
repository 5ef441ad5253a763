"""Compare what two formats read from one source: the same images with other classes contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.types import AnnotatedImage, Source

_MIN_IMAGES: Final = 3
_MAX_SHARE: Final = 0.2
"""If more of the images have other classes, the class names of one format are wrong."""

ClassCounts = Mapping[Path, Counter[str]]


def describe_difference(first: tuple[str, Source], second: tuple[str, Source]) -> str:
    """Return how the objects of two readings differ, in a few words; empty if they do not.

    Args:
        first: The format that is read, and its reading.
        second: Another format that annotates some of the images.

    Raises:
        UserError: They have as many objects, but of other classes.
    """
    counts, others = _count_classes(first[1]), _count_classes(second[1])
    common = [path for path in counts if path in others]
    _check_classes(first, second, {path: counts[path] for path in common}, others)
    more = sum(path not in counts for path in others)
    numbers = [sum(found[path].total() for path in common) for found in (counts, others)]
    told = [f"{format_count(more, 'image')} annotated as {second[0]} alone"] if more else []
    if numbers[0] != numbers[1]:
        told.append(
            f"{numbers[0]:,} objects as {first[0]} and {numbers[1]:,} as {second[0]} in the same images"
        )
    return ", ".join(told)


def _count_classes(source: Source) -> ClassCounts:
    """Count the objects of each class, by image; images without objects are left out."""
    used = (image for image in source.images if not image.fault and len(image.raw.classes))
    return {image.path: _name_classes(image, source) for image in used}


def _name_classes(image: AnnotatedImage, source: Source) -> Counter[str]:
    known = range(len(source.names))
    return Counter(source.names[cls].casefold() for cls in image.raw.classes.tolist() if cls in known)


def _check_classes(
    first: tuple[str, Source], second: tuple[str, Source], counts: ClassCounts, others: ClassCounts
) -> None:
    """Refuse readings with as many objects of other classes; different names for all are no contradiction."""
    named, other_names = ({name.casefold() for name in source.names} for _, source in (first, second))
    same_number = [path for path, found in counts.items() if found.total() == others[path].total()]
    wrong = [path for path in same_number if counts[path] != others[path]]
    if not named & other_names or len(wrong) < _MIN_IMAGES or len(wrong) <= _MAX_SHARE * len(counts):
        return
    example = wrong[0]
    listed = " and ".join(
        f"{', '.join(sorted(found[example]))} as {form}"
        for found, form in ((counts, first[0]), (others, second[0]))
    )
    raise UserError(
        f"{first[0]} and {second[0]} annotate the same images and contradict each other in "
        f"{len(wrong)} of {len(counts)}: {example.name} has {listed}; remove one of them from the source, "
        f"or set data.format={first[0]} or data.format={second[0]}"
    )
