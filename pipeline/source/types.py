"""Types that a format reader returns: a source and its images with unchecked annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.annotations import RawObjects
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.core.tasks import Keypoints, Task
from pipeline.core.text import format_count

_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "validating": "val",
    "eval": "val",
    "evaluation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}
SPLIT_NAMES: Final = frozenset(_SPLITS)
"""The names of splits, in small letters, as folders have them."""
_GLUED_WORDS: Final = re.compile(r"(?<=[a-z]{2})(sets?|data|images?|imgs?|crops?|labels?|masks?|annots?)$")
"""What follows a split in one word, as in `trainset` and `testimages`."""
_HELD_OUT_FIRST: Final = ("test", "val", "train")
_NEARLY_ALL: Final = 0.95


class ReadOptions(NamedTuple):
    """How annotations are read that can mean several things, as in conf/data.

    Attributes:
        task: The wanted task; auto: the most detailed one.
        unlabelled: What an image without annotations is: background, leave_out, refuse; auto: background if
            the data says so, by empty label files or by a list of images.
        crowds: COCO objects with iscrowd: ignore, objects; auto: objects if each one is a single object.
        predictions: COCO annotations with a score: ignore, labels.
        labels: Coordinates of boxes: shares of the image size, percent, pixels, corners (in shares),
            pixel_corners; auto: as the format says, and stop if most of them look wrong.
        first_class: The lowest class number in YOLO labels, 0 or 1; auto: 0, and stop if 1 is likely.
        file: The data.yaml or COCO file that data.source names, if it names a file and not a folder.
    """

    task: str = "auto"
    unlabelled: str = "auto"
    crowds: str = "auto"
    predictions: str = "ignore"
    labels: str = "auto"
    first_class: str | int = "auto"
    file: Path | None = None


DEFAULT_OPTIONS: Final = ReadOptions()


class AnnotatedImage(NamedTuple):
    """One image file with its annotations, not yet checked against the image.

    Attributes:
        path: The image file.
        source: The name in reports: the path relative to the source folder, with slashes.
        split: The split that the source assigns; None if it assigns none.
        raw: The objects.
        normalized: Coordinates are fractions of the image size, 0 to 1; else pixels.
        size: Width and height in pixels, if the annotation states them.
        notes: Findings about single objects, and what the reader corrected.
        fault: Why the image cannot be used; empty if it can.
        columns: Further columns of a table, by name.
        load: Extracts the encoded image from the bytes of `path`, if the image is embedded in that file;
            raises ValueError.
        task: The task of its annotations; None if it is that of the source.
    """

    path: Path
    source: str
    split: str | None
    raw: RawObjects
    normalized: bool = False
    size: tuple[int, int] | None = None
    notes: tuple[AnnotationNote, ...] = ()
    fault: str = ""
    columns: Mapping[str, str] = {}
    load: Callable[[bytes], bytes] | None = None
    task: Task | None = None


class Source(NamedTuple):
    """A dataset as its format reader returns it.

    Attributes:
        names: Class names by index.
        images: One per image file.
        defects: Findings about other files, such as a label without an image.
        remarks: What the user should know about how the source was read, one sentence each.
        task: The most detailed task that the annotations support.
        keypoints: The keypoints of a pose, if the annotations have them.
    """

    names: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    defects: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    task: Task = "detect"
    keypoints: Keypoints | None = None


@lru_cache(maxsize=10_000)
def find_split_in_name(name: str) -> str | None:
    """Find train, val or test in a folder or file name, such as `instances_val2017` or `trainset`."""
    words = re.split(r"[^a-z]+", name.lower())
    found = [_SPLITS[word] for word in words if word in _SPLITS]
    found = found or [_SPLITS[short] for word in words if (short := _GLUED_WORDS.sub("", word)) in _SPLITS]
    return found[0] if found else None


def choose_held_out_split(splits: Iterable[str | None]) -> str | None:
    """Choose the split of an image that is listed in several: test before val before train.

    In that order no test or val image leaks into training.
    """
    claims = set(splits)
    return next((split for split in _HELD_OUT_FIRST if split in claims), None)


def describe_lone_split(claims: Collection[str | None]) -> list[str]:
    """Tell that names of folders or files state one split alone, which is none; not if all state train.

    Args:
        claims: The split that such names state of each image.
    """
    named = [split for split in claims if split]
    if len(set(named)) != 1 or named == ["train"] * len(claims):
        return []
    images = f"{len(named)} of {format_count(len(claims), 'image')}"
    return [f"names of files or folders state no split but {named[0]}, for {images}: it is not used as one"]


def choose_task_by_outlines(images: Iterable[AnnotatedImage]) -> tuple[Task, tuple[str, ...]]:
    """Choose between segment and detect for a format with both outlines and boxes.

    Returns:
        The task: segment if at least 95% of the objects have an outline. And a remark if some have none.
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
