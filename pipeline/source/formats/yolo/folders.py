"""YOLO datasets that no data.yaml describes: images and label files in the usual folders, or Darknet's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.source.formats.yolo.data_yaml import DataYaml, plain_names
from pipeline.source.formats.yolo.image_paths import listed
from pipeline.source.reading.file_tree import folders_in, head_of, images_in, is_file
from pipeline.source.reading.parsing import lines_of
from pipeline.source.types import split_of

_LOOKED_AT: Final = 50


def recognises(folder: Path) -> bool:
    """Tell by the label files of the first images: a whole number, and four shares or more."""
    if (folder / "obj.data").is_file():
        return True
    images = (image for images in _splits(folder).values() for image in images)
    labels = [label for label in map(label_of, islice(images, _LOOKED_AT)) if label.is_file()]
    return any(map(_looks_like, labels))


def read(folder: Path) -> DataYaml:
    """Read a dataset without data.yaml: obj.data of Darknet, or folders."""
    darknet = folder / "obj.data"
    splits = _darknet(darknet) if darknet.is_file() else _splits(folder)
    return DataYaml(folder, plain_names(folder), splits)


def label_of(image: Path) -> Path:
    """Return where Ultralytics looks, the last `images` exchanged for `labels`, or else beside the image."""
    name, places = f"{image.stem}.txt", image.parts[:-1]
    beside = image.parent / name  # the root, which a list may name, has no suffix to change
    if "images" not in places:
        return beside
    last = len(places) - 1 - places[::-1].index("images")
    there = Path(*places[:last], "labels", *places[last + 1 :], name)
    return there if is_file(there) or not is_file(beside) else beside


def _splits(folder: Path) -> Mapping[str | None, tuple[Path, ...]]:
    """List the images of <split>/images/, images/<split>/, images/, <split>/ or the folder itself."""
    parts = [path for path in folders_in(folder) if (path / "images").is_dir() and split_of(path.name)]
    parts += [path for path in folders_in(folder / "images") if split_of(path.name)]
    if not parts and not (folder / "images").is_dir():
        parts = [path for path in folders_in(folder) if split_of(path.name)]
    if parts:
        return _gathered((split_of(part.name), images_in(part)) for part in parts)
    inner = folder / "images"
    return {None: tuple(images_in(inner) if inner.is_dir() else images_in(folder, deep=False))}


def _darknet(file: Path) -> Mapping[str | None, tuple[Path, ...]]:
    """Read `train = data/train.txt` and `valid = ...`, lists of images."""
    pairs = [line.partition("=")[::2] for line in lines_of(file)]
    lists = [(split_of(key), file.parent / Path(value.strip()).name) for key, value in pairs if split_of(key)]
    return _gathered((split, listed(path, file.parent)) for split, path in lists if path.is_file())


def _gathered(parts: Iterable[tuple[str | None, list[Path]]]) -> Mapping[str | None, tuple[Path, ...]]:
    splits: dict[str | None, tuple[Path, ...]] = defaultdict(tuple)
    for split, images in parts:
        splits[split] += tuple(images)
    return splits


def _looks_like(label: Path) -> bool:
    fields = next((line.split() for line in head_of(label).splitlines() if line.strip()), [])
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return False
    return len(values) > 4 and values[0].is_integer() and all(-1 < value < 2 for value in values[1:5])
