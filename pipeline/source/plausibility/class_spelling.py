"""Merge class names that differ in blanks alone, and say so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeline.core.text import format_count
from pipeline.source.reading.entries import ImageAnnotations


def merge_class_spellings(entries: Sequence[ImageAnnotations]) -> tuple[list[ImageAnnotations], list[str]]:
    """Remove blanks around class names, and reduce those inside to one.

    Returns:
        The annotations, and a remark if that makes two names one.
    """
    spellings = {item.label for entry in entries for item in entry.objects}
    changed = {label: " ".join(label.split()) for label in spellings if label != " ".join(label.split())}
    if not changed:
        return list(entries), []
    merged = [
        entry._replace(
            objects=tuple(item._replace(label=changed.get(item.label, item.label)) for item in entry.objects)
        )
        for entry in entries
    ]
    return merged, describe_class_spellings(spellings)


def describe_class_spellings(names: Iterable[str]) -> list[str]:
    """Return a remark about names that differ in blanks alone, which are read as one class."""
    by_name: dict[str, set[str]] = defaultdict(set)
    for name in names:
        by_name[" ".join(name.split())].add(name)
    several = [sorted(spelled) for spelled in by_name.values() if len(spelled) > 1]
    if not several:
        return []
    listed = "; ".join(" and ".join(map(repr, spelled)) for spelled in sorted(several))
    return [f"names of {format_count(len(several), 'class')} differ in blanks alone, read as one: {listed}"]
