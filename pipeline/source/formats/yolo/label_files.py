"""Read the label files of images, and match those whose folder or name differs from the usual one."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import Finding
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.folders import find_label_path
from pipeline.source.formats.yolo.label_folders import find_label_folder, find_unread_folders, simplify_stem
from pipeline.source.formats.yolo.label_lines import LabelLines, parse_label_lines
from pipeline.source.formats.yolo.missing_files import NON_LABEL_FILES, find_stray_labels
from pipeline.source.reading.file_tree import (
    format_relative_path,
    get_file_size,
    is_file,
    list_folder_files,
)
from pipeline.source.reading.image_index import normalize_name

_MAX_LABEL_BYTES: Final = 50_000_000
"""About half a million boxes."""
_MAX_SEARCHED_FOLDERS: Final = 200
_MAX_SHOWN: Final = 3
_LABELS: Final = "labels"
"""The usual name of a folder of labels."""


class YoloImage(NamedTuple):
    """An image and its label file.

    Attributes:
        image: The image file.
        splits: The splits that list it.
        label: The path of the label file, which may not exist.
        lines: The lines of the label file; None if it does not exist or cannot be read.
        fault: Why the label file cannot be read.
        follows_link: The label file does not lie beside the image, but beside the file that it is a link to.
    """

    image: Path
    splits: tuple[str | None, ...]
    label: Path
    lines: LabelLines | None
    fault: str = ""
    follows_link: bool = False

    @property
    def is_unlabelled(self) -> bool:
        """The image has no label file."""
        return self.lines is None and not self.fault


def read_image_labels(splits: Mapping[Path, tuple[str | None, ...]], root: Path) -> list[YoloImage]:
    """Read the label file of each image.

    Args:
        splits: The splits of each image, in the order of the result.
        root: The source folder.

    Raises:
        UserError: Two folders hold labels of the same images.
    """
    found = [
        _read_label_file(image, listed, find_label_path(image), root) for image, listed in splits.items()
    ]
    found = _search_other_places(found, root)
    for simplify in (normalize_name, simplify_stem):
        found = _match_similar_labels(found, root, simplify)
    return found


def describe_shared_labels(found: Sequence[YoloImage], root: Path) -> list[str]:
    """Tell of images that share one label file, such as x.jpg and x.png."""
    by_label: dict[Path, list[Path]] = defaultdict(list)
    for item in found:
        if item.lines is not None:
            by_label[item.label].append(item.image)
    shared = [images for images in by_label.values() if len(images) > 1]
    if not shared:
        return []
    pairs = [" and ".join(format_relative_path(image, root) for image in images) for images in shared]
    more = f" and {len(pairs) - _MAX_SHOWN} more" if len(pairs) > _MAX_SHOWN else ""
    listed = "; ".join(pairs[:_MAX_SHOWN])
    return [
        f"images that differ in the suffix alone share one label file, each has its objects: {listed}{more}"
    ]


def describe_linked_labels(found: Sequence[YoloImage], root: Path) -> list[str]:
    """Tell of images whose label files were read where links lead to."""
    linked = [item for item in found if item.follows_link]
    if not linked:
        return []
    images = format_count(len(linked), "image is a link", "images are links")
    place = format_relative_path(linked[0].label.parent, root)
    return [
        f"{images} without a label file beside the link: those beside the linked files are read, in {place}/"
    ]


def describe_unread_labels(found: Sequence[YoloImage], folder: Path, root: Path) -> list[str]:
    """Tell of folders with other label files of the same images."""
    labels = {item.image: item.label for item in found if item.lines is not None}
    unread = [place for place in find_unread_folders(labels, root) if place.is_relative_to(folder)]
    if not unread:
        return []
    places = ", ".join(f"{format_relative_path(place, root)}/" for place in unread[:_MAX_SHOWN])
    used = sorted({label.parent for label in labels.values()})
    return [
        f"label files of the same images in {places} are not read: those in "
        f"{format_relative_path(used[0], root)}/ are"
    ]


def find_orphan_labels(
    found: Sequence[YoloImage], unlisted: Sequence[Path], folder: Path, root: Path
) -> list[Finding]:
    """Report label files without an image: in the folders that hold labels of images, and in other labels/.

    Args:
        found: The images with their label files.
        unlisted: Images that are in no split: their label files are no orphans.
        folder: The source folder.
        root: Paths in reports are relative to it.
    """
    labels = {item.label for item in found}
    own = {item.label.parent for item in found if not item.follows_link}
    folders = [place for place in own if place.is_dir()]
    texts = [
        text
        for place in folders
        for text in list_folder_files(place, ".txt")
        if text.name.lower() not in NON_LABEL_FILES and text not in labels
    ]
    stray = find_stray_labels(folder, labels, [*unlisted, *(item.image for item in found)])
    return [
        Finding(
            format_relative_path(text, root), "quarantined", "a label file without an image", "orphan-label"
        )
        for text in sorted({*texts, *stray})
    ]


def _search_other_places(found: list[YoloImage], root: Path) -> list[YoloImage]:
    """Look for the labels of folders in which no image has one: in other folders, and where links lead to.

    Raises:
        UserError: Both hold labels, and these differ.
    """
    bare = _find_bare_folders(found)
    places = {
        place: label_folder
        for place, images in islice(bare.items(), _MAX_SEARCHED_FOLDERS)
        if (label_folder := find_label_folder(images, root))
    }
    linked = {place: _find_linked_labels(images) for place, images in bare.items()}
    for place, label_folder in places.items():
        if _LABELS not in format_relative_path(label_folder, root).casefold().split("/"):
            _refuse_rival_labels(bare[place], label_folder, linked[place])
    followed = {image: label for place in linked.keys() - places for image, label in linked[place].items()}
    labels = followed | {
        image: label_folder / f"{image.stem}.txt"
        for place, label_folder in places.items()
        for image in bare[place]
    }
    return [
        _read_label_file(item.image, item.splits, labels[item.image], root)._replace(
            follows_link=item.image in followed
        )
        if item.image in labels
        else item
        for item in found
    ]


def _find_linked_labels(images: Sequence[Path]) -> dict[Path, Path]:
    """Find the label files beside the files that images of one folder, or the folder itself, are links to."""
    folder = Path(os.path.realpath(images[0].parent))
    targets = {
        image: Path(os.path.realpath(image)) if os.path.islink(image) else folder / image.name  # noqa: PTH114
        for image in images
    }
    return {
        image: label
        for image, target in targets.items()
        if target != image and is_file(label := find_label_path(target))
    }


def _refuse_rival_labels(images: Sequence[Path], folder: Path, linked: Mapping[Path, Path]) -> None:
    """Refuse links whose labels may be those of a folder of any name, or those beside the linked files.

    The folder may hold corrected labels as well as the output of a model.

    Args:
        images: Images in one folder, without a label file in the usual place.
        folder: The folder with text files of their names.
        linked: The label files beside the files that the images are links to.

    Raises:
        UserError: The two differ for one of the images.
    """
    rival = next(
        (
            image
            for image in (images if linked else ())
            if _read_contents(folder / f"{image.stem}.txt") != _read_contents(linked.get(image))
        ),
        None,
    )
    if rival:
        beside = next(iter(linked.values())).parent
        raise UserError(
            f"the images in {rival.parent} are links, and {folder} holds other labels for them than {beside} "
            f"does, beside the linked files (compare those of {rival.name}): to read the first, call the "
            f"folder {_LABELS}; to read the others, move it out of the source"
        )


def _read_contents(label: Path | None) -> bytes | None:
    """Return the bytes of a label file; None if there is no such file."""
    try:
        return label.read_bytes() if label else None
    except OSError:
        return None


def _find_bare_folders(found: Sequence[YoloImage]) -> dict[Path, list[Path]]:
    """Return the images of each folder in which no image has a label file."""
    by_folder: dict[Path, list[YoloImage]] = defaultdict(list)
    for item in found:
        by_folder[item.image.parent].append(item)
    return {
        place: [item.image for item in items]
        for place, items in by_folder.items()
        if all(item.is_unlabelled for item in items)
    }


def _match_similar_labels(
    found: list[YoloImage], root: Path, simplify: Callable[[str], str]
) -> list[YoloImage]:
    """Match images without a label file to label files whose names are equal once simplified.

    A name that is not unique is not matched.
    """
    unlabelled = [item for item in found if item.is_unlabelled]
    if not unlabelled:
        return found
    used = {item.label for item in found if not item.is_unlabelled}
    keys = {item.image: (item.label.parent, simplify(item.image.stem)) for item in unlabelled}
    counts = Counter(keys.values())
    folders = {item.label.parent for item in unlabelled}
    texts = [text for folder in folders for text in list_folder_files(folder, ".txt") if text not in used]
    text_counts = Counter((text.parent, simplify(text.stem)) for text in texts)
    unused = {(text.parent, simplify(text.stem)): text for text in texts}
    matched = {
        image: unused[key] for image, key in keys.items() if counts[key] == 1 and text_counts[key] == 1
    }
    return [
        _read_label_file(item.image, item.splits, matched[item.image], root)
        if item.image in matched
        else item
        for item in found
    ]


def _read_label_file(image: Path, splits: tuple[str | None, ...], label: Path, root: Path) -> YoloImage:
    length = get_file_size(label)
    if length is None:
        return YoloImage(image, splits, label, None)
    if length > _MAX_LABEL_BYTES:
        fault = f"its label file {format_relative_path(label, root)} has more than {_MAX_LABEL_BYTES:,} bytes"
        return YoloImage(image, splits, label, None, fault)
    try:
        return YoloImage(image, splits, label, parse_label_lines(label.read_text(encoding="utf-8-sig")))
    except (UnicodeDecodeError, OSError):
        fault = f"its label file {format_relative_path(label, root)} cannot be read as text"
        return YoloImage(image, splits, label, None, fault)
