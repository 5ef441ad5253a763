"""Keep, drop, merge and rename the classes of a source (data.classes)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, TypeVar

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import IntArray
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.reading.class_lists import check_distinct_names
from pipeline.source.reading.unicode_names import escape_text
from pipeline.source.types import Source


def filter_source_classes(
    source: Source, *, keep: Sequence[str] | None, drop: Sequence[str], rename: Mapping[str, str]
) -> Source:
    """Keep, drop, merge and rename the classes of a source, and report it in its remarks.

    An image without remaining objects becomes a background image. For classify, where an image has one class,
    the image is dropped together with its class.

    Args:
        source: As it was read.
        keep: Class names to keep; all if None.
        drop: Class names to drop.
        rename: New names by old names; two classes with one new name are merged.

    Raises:
        UserError: A name is no class of the source, the options contradict each other, no class or no object
            is left, or a new name is empty or differs from another in blanks alone.
    """
    if not source.names:
        raise UserError(f"the annotations hold no object with a class{_explain_missing_classes(source)}")
    choice = select_classes(source.names, keep=keep, drop=drop, rename=rename)
    doubts = [doubt for doubt in doubt_spellings(choice.names) if doubt not in source.remarks]
    if choice.becomes == tuple(range(len(choice.names))):
        _require_two_classes(source)
        return source._replace(names=choice.names, remarks=(*source.remarks, *doubts))
    counts = Counter(cls for image in source.images for cls in image.raw.classes.tolist())
    _check_objects_left(source.names, choice, counts)
    images = tuple(image._replace(raw=apply_class_selection(choice, image.raw)) for image in source.images)
    bare = [
        bool(len(was.raw.marks)) and not len(now.raw.marks)
        for was, now in zip(source.images, images, strict=True)
    ]
    remarks = [
        *source.remarks,
        *_describe_dropped_classes(source, choice, counts),
        *_describe_merged_classes(source.names, choice),
        *doubts,
    ]
    if source.task == "classify":
        images = tuple(image for image, empty in zip(images, bare, strict=True) if not empty)
    elif any(bare):
        remarks.append(
            f"data.classes leaves {format_count(sum(bare), 'image')} without objects: used as backgrounds"
        )
    chosen = source._replace(names=choice.names, images=images, remarks=tuple(remarks))
    _require_two_classes(chosen)
    return chosen


def _require_two_classes(source: Source) -> None:
    """Require that a classifier has something to tell apart: of one class it would be sure of all images."""
    if source.task != "classify":
        return
    used = {cls for image in source.images if not image.fault for cls in image.raw.classes.tolist()}
    if len(used) == 1:
        [only] = used
        raise UserError(
            f"classify tells two or more classes apart, and all images are of {source.names[only]}: add "
            "images of another class, or keep one (data.classes; what it drops is left out)"
        )


def _explain_missing_classes(source: Source) -> str:
    """Return the first reason why an image or an object was not read, and the remarks; empty without any."""
    reasons = (image.fault or next((note.reason for note in image.notes), "") for image in source.images)
    first = next(
        (f"{image.source}: {why}" for image, why in zip(source.images, reasons, strict=True) if why), ""
    )
    return "".join(f"; {part}" for part in (first, *source.remarks[:1]) if part)


def _check_objects_left(names: Sequence[str], choice: ClassSelection, counts: Mapping[int, int]) -> None:
    used = [index for index, new in enumerate(choice.becomes) if new is not None]
    there = ", ".join(f"{name} {counts[index]}" for index, name in enumerate(names) if counts.get(index))
    if there and not any(counts.get(index) for index in used):
        left = ", ".join(names[index] for index in used)
        raise UserError(
            f"data.classes leaves no object, there is none of {left}: keep one or more of {there}"
        )


def _describe_dropped_classes(
    source: Source, choice: ClassSelection, counts: Mapping[int, int]
) -> Iterable[str]:
    dropped = [index for index, new in enumerate(choice.becomes) if new is None]
    if dropped:
        what = "images" if source.task == "classify" else "objects"
        listed = ", ".join(f"{source.names[index]} {counts[index]}" for index in dropped if counts.get(index))
        yield f"data.classes leaves out {format_count(len(dropped), 'class')}, in {what}: {listed or 'none'}"


def _describe_merged_classes(names: Sequence[str], choice: ClassSelection) -> Iterable[str]:
    for index, name in enumerate(choice.names):
        merged = [old for old, new in zip(names, choice.becomes, strict=True) if new == index]
        if len(merged) > 1:
            yield f"data.classes makes one class of {' and '.join(merged)}: {name}"


_T = TypeVar("_T")


class ClassSelection(NamedTuple):
    """The remaining classes and how the old indices map to them.

    Attributes:
        names: Class names by new index, in the order of the source.
        becomes: The new index of each class of the source; None if the class is dropped.
    """

    names: tuple[str, ...]
    becomes: tuple[int | None, ...]


def select_classes(
    names: Sequence[str], *, keep: Sequence[str] | None, drop: Sequence[str], rename: Mapping[str, str]
) -> ClassSelection:
    """Compute which classes remain and their new indices; two classes with one new name are merged.

    Args:
        names: The classes of the source.
        keep: Class names to keep; all if None.
        drop: Class names to drop.
        rename: New names by old names.

    Raises:
        UserError: A name is no class of the source, the options contradict each other, no class is left, or
            a new name is empty or differs from another in blanks alone.
    """
    for key, wanted in (("keep", keep or ()), ("drop", drop), ("rename", rename)):
        _check_known_names(wanted, names, key)
    used = [name for name in names if (keep is None or name in keep) and name not in drop]
    for name in (*(keep or ()), *rename):
        if name not in used:
            raise UserError(f"data.classes leaves out {name!r}, and keeps or renames it too: decide for one")
    if not used:
        raise UserError(f"data.classes leaves no class: keep one or more of {', '.join(names)}")
    for name, new in rename.items():
        if not new.strip():
            raise UserError(f"data.classes.rename gives {name!r} an empty name: give it another")
    called = {name: escape_text(rename[name]) if name in rename else name for name in used}
    chosen = tuple(dict.fromkeys(called.values()))
    for name in rename:  # others were read as they are, and have a remark
        alike = [other for other in chosen if other.split() == called[name].split()]
        check_distinct_names(alike, "data.classes.rename", ignore_blanks=True)
    becomes = tuple(chosen.index(called[name]) if name in called else None for name in names)
    return ClassSelection(chosen, becomes)


def doubt_spellings(names: Sequence[str]) -> Iterator[str]:
    """Name the classes that differ in capitals and signs alone; single letters are meant."""
    by_letters: dict[str, list[str]] = {}
    for name in names:
        by_letters.setdefault("".join(filter(str.isalnum, name.casefold())) or name, []).append(name)
    for letters, similar in by_letters.items():
        if len(similar) > 1 and len(letters) > 1:
            listed = " and ".join(map(repr, similar))
            yield f"{listed} are classes of their own: data.classes.rename can make one of them"


def apply_class_selection(choice: ClassSelection, raw: RawObjects) -> RawObjects:
    """Remove objects of dropped classes and map the others to their new index; unknown indices stay."""
    kept = np.flatnonzero([_map_class(choice, cls) is not None for cls in raw.classes.tolist()])
    classes = [_map_class(choice, int(raw.classes[index])) for index in kept]
    return select_objects(raw, kept)._replace(classes=np.array(classes, np.int64))


def select_objects(raw: RawObjects, kept: IntArray) -> RawObjects:
    """Return the objects with these indices."""
    return RawObjects(
        raw.classes[kept],
        raw.boxes[kept],
        _take(raw.marks, kept),
        _take(raw.outlines, kept),
        _take(raw.keypoints, kept),
    )


def scale_objects(raw: RawObjects, factor: float) -> RawObjects:
    """Multiply all coordinates of objects."""
    points = tuple(each * (factor, factor, 1) if each.size else each for each in raw.keypoints)
    outlines = tuple(tuple(part * factor for part in parts) for parts in raw.outlines)
    return raw._replace(boxes=raw.boxes * factor, outlines=outlines, keypoints=points)


def _map_class(choice: ClassSelection, cls: int) -> int | None:
    return choice.becomes[cls] if 0 <= cls < len(choice.becomes) else cls


def _take(items: tuple[_T, ...], kept: IntArray) -> tuple[_T, ...]:
    return tuple(items[index] for index in kept) if items else ()


def _check_known_names(wanted: Iterable[str], names: Sequence[str], key: str) -> None:
    lower = {name.lower(): name for name in names}
    for name in wanted:
        if name not in names:
            near = get_close_matches(name.lower(), lower, n=1)
            what = f"did you mean {lower[near[0]]!r}?" if near else f"there are {', '.join(names)[:200]}"
            raise UserError(f"data.classes.{key} names {name!r}, but no class is called so: {what}")
