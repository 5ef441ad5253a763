"""A source of labelled images, as its annotations describe it: nothing is checked against the images yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.annotations import RawObjects
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.core.tasks import Keypoints, Task

_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_HELD_OUT_FIRST: Final = ("test", "val", "train")
_NEARLY_ALL: Final = 0.95


class AnnotatedImage(NamedTuple):
    """One image and what its annotation says.

    Attributes:
        path: The image file.
        source: Its name in reports: relative to the source folder, parts separated by slashes.
        split: Where the source puts it; None where it does not say.
        raw: Its objects.
        scaled: Boxes are shares of the image rather than pixels.
        size: Width and height that the annotation states, if it does.
        notes: What the reader found about single objects, or mended.
        fault: Why the image must not be used, if so.
        columns: What further columns of a table say of the image, by their names.
        load: Takes the image out of the bytes of `path`, where that is a file which holds it within; raises
            ValueError.
    """

    path: Path
    source: str
    split: str | None
    raw: RawObjects
    scaled: bool = False
    size: tuple[int, int] | None = None
    notes: tuple[AnnotationNote, ...] = ()
    fault: str = ""
    columns: Mapping[str, str] = {}
    load: Callable[[bytes], bytes] | None = None


class Source(NamedTuple):
    """A whole source.

    Attributes:
        names: Class names by index.
        images: One entry per image file.
        defects: Findings about other files, such as a label without an image.
        remarks: What the user should know of how the source was read, a sentence each.
        task: The richest task that the annotations serve.
        keypoints: The points of a pose, where the annotations have them.
    """

    names: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    defects: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    task: Task = "detect"
    keypoints: Keypoints | None = None


@lru_cache(maxsize=10_000)
def split_of(name: str) -> str | None:
    """Find train, val or test among the words of a folder's or file's name, such as `instances_val2017`."""
    found = [_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS]
    return found[0] if found else None


def held_out(splits: Iterable[str | None]) -> str | None:
    """Choose among the splits that claim one image: test before val before train, so that nothing leaks."""
    claims = set(splits)
    return next((split for split in _HELD_OUT_FIRST if split in claims), None)


def by_outlines(images: Iterable[AnnotatedImage]) -> tuple[Task, tuple[str, ...]]:
    """Choose between segment and detect where a format has outlines as well as boxes, and say so.

    Returns:
        segment where nearly all objects have an outline, and a remark where it is not plain.
    """
    outlined = total = 0
    for image in images:
        total += len(image.raw.classes)
        outlined += sum(bool(parts) for parts in image.raw.outlines)
    if not outlined:
        return "detect", ()
    if outlined == total:
        return "segment", ()
    task: Task = "segment" if outlined >= _NEARLY_ALL * total else "detect"
    return task, (f"{outlined} of {total} objects have an outline: read for {task} (data.task decides)",)
