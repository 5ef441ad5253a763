"""Read YOLO datasets without a data.yaml: images/ and labels/ folders, or obj.data of Darknet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.source.formats.yolo.data_yaml import DataYaml, read_class_names
from pipeline.source.formats.yolo.image_paths import read_image_list
from pipeline.source.reading.file_tree import is_file, list_images, list_subfolders, read_head
from pipeline.source.reading.parsing import read_lines
from pipeline.source.types import find_split_in_name

_MAX_CHECKED_IMAGES: Final = 50


def has_yolo_labels(folder: Path) -> bool:
    """Check for obj.data, or for label lines of the first images: a whole number and four coordinates."""
    if (folder / "obj.data").is_file():
        return True
    images = (image for images in _find_splits(folder).values() for image in images)
    labels = [label for label in map(find_label_path, islice(images, _MAX_CHECKED_IMAGES)) if label.is_file()]
    return any(map(_is_label_file, labels))


def read_yolo_folders(folder: Path) -> DataYaml:
    """Read a dataset without data.yaml: obj.data of Darknet, else folders."""
    darknet = folder / "obj.data"
    splits = _read_darknet(darknet) if darknet.is_file() else _find_splits(folder)
    return DataYaml(folder, read_class_names(folder), splits)


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
    """List the images of <split>/images/, images/<split>/, images/, <split>/ or the folder itself."""
    parts = [
        path
        for path in list_subfolders(folder)
        if (path / "images").is_dir() and find_split_in_name(path.name)
    ]
    parts += [path for path in list_subfolders(folder / "images") if find_split_in_name(path.name)]
    if not parts and not (folder / "images").is_dir():
        parts = [path for path in list_subfolders(folder) if find_split_in_name(path.name)]
    if parts:
        return _merge_splits((find_split_in_name(part.name), list_images(part)) for part in parts)
    inner = folder / "images"
    return {None: tuple(list_images(inner) if inner.is_dir() else list_images(folder, deep=False))}


def _read_darknet(file: Path) -> Mapping[str | None, tuple[Path, ...]]:
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


def _merge_splits(parts: Iterable[tuple[str | None, list[Path]]]) -> Mapping[str | None, tuple[Path, ...]]:
    splits: dict[str | None, tuple[Path, ...]] = defaultdict(tuple)
    for split, images in parts:
        splits[split] += tuple(images)
    return splits


def _is_label_file(label: Path) -> bool:
    fields = next((line.split() for line in read_head(label).splitlines() if line.strip()), [])
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return False
    return len(values) > 4 and values[0].is_integer() and all(-1 < value < 2 for value in values[1:5])
