"""Find the splits that the names of COCO files, and of the folders of images, state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.source.formats.coco.entries import CocoImage
from pipeline.source.types import AnnotatedImage, describe_lone_split, find_split_in_name


def find_file_split(path: Path, folder: Path) -> str | None:
    """Return the split that the folders of an annotation file state, the innermost first, or its name."""
    folder_names = path.relative_to(folder).parts[-2::-1]
    return next(filter(None, map(find_split_in_name, folder_names)), None) or find_split_in_name(path.stem)


def drop_lone_split(
    entries: Mapping[Path, list[CocoImage]],
) -> tuple[Mapping[Path, list[CocoImage]], list[str]]:
    """Use the splits that files state only if they are two or more.

    Returns:
        The entries, by image; and a remark on a split that is dropped.
    """
    claims = [
        next((entry.file.split for entry in found if entry.file.split), None) for found in entries.values()
    ]
    if len({entry.file.split for found in entries.values() for entry in found} - {None}) > 1:
        return entries, []
    unsplit = {
        path: [entry._replace(file=entry.file._replace(split=None)) for entry in found]
        for path, found in entries.items()
    }
    return unsplit, describe_lone_split(claims)


def assign_folder_splits(images: tuple[AnnotatedImage, ...]) -> tuple[tuple[AnnotatedImage, ...], list[str]]:
    """Use the splits in the images' folder names, if no file states one and the folders name two or more.

    Returns:
        The images; and a remark on a split that is not used.
    """
    if any(image.split for image in images):
        return images, []
    folders = {image.source.rpartition("/")[0] for image in images}
    splits = {
        folder: next(filter(None, map(find_split_in_name, folder.split("/")[::-1])), None)
        for folder in folders
    }
    claims = [splits[image.source.rpartition("/")[0]] for image in images]
    if len({*claims} - {None}) < 2:
        return images, describe_lone_split(claims)
    return tuple(image._replace(split=split) for image, split in zip(images, claims, strict=True)), []
