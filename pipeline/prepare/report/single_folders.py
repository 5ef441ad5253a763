"""Find classes whose images are all in one folder: a model may learn the folder instead of the class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from pipeline.prepare.report.statistics import DatasetColumns

MIN_FOLDER_IMAGES: Final = 5
"""Images of a class: with fewer, all may be in one folder by accident."""

_SPLIT_WORDS: Final = {
    *("train", "training", "val", "valid", "validation", "test", "testing"),
    *("images", "image", "img", "imgs", "jpegimages"),
}


def find_single_folder_classes(table: DatasetColumns, classes: int) -> Iterator[tuple[int, int, str, int]]:
    """Yield the classes whose images are all in one folder, if that folder has at most half of all images.

    A folder with most of the images has most classes alone by chance.

    Yields:
        The class, the number of its images, their folder, the number of folders.
    """
    folders = [source.rpartition("/")[0] for source in table.sources]
    folder_names = {folder: strip_split_folders(f"{folder}/") for folder in set(folders)}
    names, folder_index = np.unique([folder_names[folder] for folder in folders], return_inverse=True)
    for cls in range(classes) if len(names) > 1 else ():
        class_images = np.unique(table.image_index[table.classes == cls])
        class_folders = np.unique(folder_index[class_images])
        if (
            len(class_folders) == 1
            and len(class_images) >= MIN_FOLDER_IMAGES
            and 2 * (folder_index == class_folders[0]).sum() <= len(folder_index)
        ):
            yield cls, len(class_images), str(names[class_folders[0]]), len(names)


def strip_split_folders(source: str) -> str:
    """Return an image's folder without the parts that only name a split or are called `images`."""
    parts = PurePosixPath(source.rpartition("/")[0]).parts
    return "/".join(part for part in parts if not _SPLIT_WORDS & set(re.split(r"[^a-z]+", part.lower())))
