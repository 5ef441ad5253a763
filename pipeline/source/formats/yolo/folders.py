"""Read YOLO datasets without a data.yaml: images/ and labels/ folders, or obj.data of Darknet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.source.formats.yolo.data_yaml import DataYaml, drop_repeated_splits
from pipeline.source.formats.yolo.image_paths import read_image_list
from pipeline.source.formats.yolo.label_folders import (
    MAX_CHECKED_IMAGES,
    find_image_folders,
    find_label_folder,
    find_subfolder,
    holds_lines,
    list_first_labels,
)
from pipeline.source.formats.yolo.label_lines import is_label_text
from pipeline.source.plausibility.image_sizes import choose_evenly
from pipeline.source.reading.file_tree import (
    format_relative_path,
    is_file,
    list_images,
    list_subfolders,
    read_head,
)
from pipeline.source.reading.parsing import read_lines
from pipeline.source.split_lists import SplitLists, has_split_lists
from pipeline.source.types import describe_lone_split, find_split_in_name

_MAX_CHECKED_FOLDERS: Final = 5
_MAX_SEARCHED_IMAGES: Final = 5000
"""Images of a split whose label files are looked at, if those of the first images are empty."""


def has_yolo_labels(folder: Path) -> bool:
    """Check for obj.data, or for label lines of the first images: a whole number and four coordinates.

    Label files count without images, too: the reader then says that the images are missing.
    """
    if (folder / "obj.data").is_file():
        return True
    splits = _find_splits(folder).values()
    labels = _find_labels([image for images in splits for image in images[:MAX_CHECKED_IMAGES]], folder)
    filled = list(filter(holds_lines, labels))
    if labels and not filled:  # images without objects come first
        some = [image for images in splits for image in choose_evenly(images, _MAX_SEARCHED_IMAGES)]
        filled = list(filter(holds_lines, _find_labels(some, folder)))
    filled = filled or list_first_labels(folder, MAX_CHECKED_IMAGES)
    return any(is_label_text(read_head(label)) for label in choose_evenly(filled, MAX_CHECKED_IMAGES))


def _find_labels(images: Sequence[Path], folder: Path) -> list[Path]:
    """Find the label files of images: where Ultralytics looks for them, else in folders paired by content."""
    labels = [label for image in images if is_file(label := find_label_path(image))]
    return labels or _find_distant_labels(images, folder)


def _find_distant_labels(images: Iterable[Path], folder: Path) -> list[Path]:
    """Find label files of the first images in folders that are paired with theirs by content."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for image in images:
        by_folder[image.parent].append(image)
    labels = []
    for same in islice(by_folder.values(), _MAX_CHECKED_FOLDERS):
        try:
            place = find_label_folder(same, folder)
        except UserError:
            continue
        labels += [place / f"{image.stem}.txt" for image in same] if place else []
    return [label for label in labels if is_file(label)]


def read_yolo_folders(folder: Path) -> DataYaml:
    """Read a dataset without data.yaml: obj.data of Darknet, else folders, or lists beside them."""
    darknet = folder / "obj.data"
    if darknet.is_file():
        listed_splits = _read_darknet(darknet)
        remarks = tuple(drop_repeated_splits(listed_splits, darknet))
        return DataYaml(folder, listed_splits, remarks=remarks)
    splits, lone_remarks = _merge_lone_split(_find_splits(folder))
    if set(splits) != {None} or not has_split_lists(folder):
        return DataYaml(folder, splits, remarks=tuple(lone_remarks))
    lists = SplitLists(folder)
    listed: dict[str | None, list[Path]] = defaultdict(list)
    found = lists.find_splits([format_relative_path(image, folder)] for image in splits[None])
    for image, split in zip(splits[None], found, strict=True):
        listed[split].append(image)
    return DataYaml(folder, _merge_splits(listed.items()), remarks=lists.list_remarks())


def find_label_path(image: Path) -> Path:
    """Return the label path as Ultralytics does: the last `images` folder becomes `labels`.

    A file beside the image is used if there is no other.
    """
    name, folders = f"{image.stem}.txt", image.parts[:-1]
    beside = image.parent / name  # not with_suffix, which fails for the root folder
    if "images" not in folders:
        return beside
    last = len(folders) - 1 - folders[::-1].index("images")
    in_labels = Path(*folders[:last], "labels", *folders[last + 1 :], name)
    return in_labels if is_file(in_labels) or not is_file(beside) else beside


def _find_splits(folder: Path) -> Mapping[str | None, tuple[Path, ...]]:
    """List the images of <split>/images/, images/<split>/, images/, <split>/ or the folder itself.

    Folders of images may have other names, if a folder beside them holds their label files.
    """
    within = find_subfolder(folder, "images")
    parts = [
        (split, path)
        for split, path in _list_split_folders(folder)
        if find_subfolder(path, "images") or find_image_folders(path)
    ]
    parts += _list_split_folders(within) if within else []
    if not parts and not within:
        paired = find_image_folders(folder)
        if paired:
            return _merge_splits((split, images) for part in paired for split, images in _split_images(part))
        parts = _list_split_folders(folder)
    if parts:
        return _merge_splits((split, list_images(part)) for split, part in parts)
    return {None: tuple(list_images(within) if within else list_images(folder, deep=False))}


def _list_split_folders(folder: Path) -> list[tuple[str | None, Path]]:
    found = [(find_split_in_name(path.name), path) for path in list_subfolders(folder)]
    return [(split, path) for split, path in found if split]


def _split_images(folder: Path) -> Iterable[tuple[str | None, list[Path]]]:
    """Return the images of a folder by split: the split that the folder or its subfolders are named after."""
    splits = _list_split_folders(folder)
    if splits:
        return [(split, list_images(path)) for split, path in splits]
    return [(find_split_in_name(folder.name), list_images(folder))]


def _merge_lone_split(
    splits: Mapping[str | None, tuple[Path, ...]],
) -> tuple[Mapping[str | None, tuple[Path, ...]], list[str]]:
    """Take a split that folder names state alone for none, unless it is train for all images.

    Returns:
        The images by split; and a remark on a split that is not used.
    """
    claims = [split for split, images in splits.items() for _ in images]
    if remarks := describe_lone_split(claims):
        return _merge_splits((None, list(images)) for images in splits.values()), remarks
    return splits, []


def _read_darknet(file: Path) -> dict[str | None, tuple[Path, ...]]:
    """Read obj.data: `train = data/train.txt` and `valid = ...` name lists of images."""
    pairs = [line.partition("=")[::2] for line in read_lines(file)]
    lists = [
        (find_split_in_name(key), file.parent / Path(value.strip()).name)
        for key, value in pairs
        if find_split_in_name(key)
    ]
    return _merge_splits(
        (split, read_image_list(path, file.parent)) for split, path in lists if path.is_file()
    )


def _merge_splits(parts: Iterable[tuple[str | None, list[Path]]]) -> dict[str | None, tuple[Path, ...]]:
    splits: dict[str | None, tuple[Path, ...]] = defaultdict(tuple)
    for split, images in parts:
        splits[split] += tuple(images)
    return splits
