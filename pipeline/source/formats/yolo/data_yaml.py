"""Read the data.yaml of YOLO datasets as Ultralytics does, but run and download nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.image_paths import list_split_images, resolve_root
from pipeline.source.formats.yolo.keypoints import parse_kpt_shape
from pipeline.source.formats.yolo.plain_yaml import is_plain_value
from pipeline.source.reading.file_tree import list_folder_files, list_subfolders, read_head
from pipeline.source.reading.parsing import read_lines

_SPLIT_KEYS: Final = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_USUAL_STEMS: Final = ("data", "dataset")
_URL: Final = re.compile(r"https?://\S+")
_ORIENTED_NAME: Final = re.compile(r"(?<![a-z])(obb|dota)")
_MAX_CLASSES: Final = 100_000


class DataYaml(NamedTuple):
    """The content of a data.yaml.

    Attributes:
        root: Paths, also those in reports, are relative to this folder.
        names: Class names by index; empty if it states none.
        splits: The image files of each split.
        keypoints: The keypoints of a pose (kpt_shape).
        oriented: A name in it says that it has oriented boxes.
        remarks: What the user should know about how it was read.
    """

    root: Path
    names: tuple[str, ...]
    splits: Mapping[str | None, tuple[Path, ...]]
    keypoints: Keypoints | None = None
    oriented: bool = False
    remarks: tuple[str, ...] = ()


def has_data_yaml(folder: Path) -> bool:
    """Check for a data.yaml, or another YAML file with two or more of its keys."""
    keys = re.compile(rb"^(train|val|valid|test|names|nc)\s*:", re.MULTILINE)
    return any(
        path.stem in _USUAL_STEMS or len(set(keys.findall(read_head(path)))) > 1
        for path in _list_yaml_files(folder)
    )


def find_data_yaml(folder: Path) -> Path | None:
    """Find the data YAML of a folder: data.yaml, or the only YAML file.

    Raises:
        UserError: There are several.
    """
    found = _list_yaml_files(folder)
    usual = [path for path in found if path.stem in _USUAL_STEMS]
    if len(found) > 1 and len(usual) != 1:
        listed = ", ".join(path.name for path in found)
        raise UserError(
            f"{folder} holds several YAML files ({listed}): rename the one of the dataset to data.yaml"
        )
    return next(iter(usual or found), None)


def read_data_yaml(file: Path) -> DataYaml:
    """Read a data YAML.

    Raises:
        UserError: It is not a YAML mapping, it contains code, or its names or paths are invalid.
    """
    raw = _load_mapping(file)
    remarks = _check_download(raw, file)
    root = resolve_root(raw, file)
    splits: dict[str | None, tuple[Path, ...]] = {}
    for split, keys in _SPLIT_KEYS.items():
        stated = next((raw[key] for key in keys if raw.get(key)), None)
        if stated is None:
            continue
        splits[split] = tuple(dict.fromkeys(list_split_images(stated, root, file)))
        if not splits[split]:
            remarks.append(f"{file.name} names {split}: {stated}, but there are no images")
    remarks += _drop_repeated_splits(splits, file)
    keypoints, keypoint_remarks = parse_kpt_shape(raw, file)
    names, oriented = _parse_names(raw, file), _is_oriented(raw, file)
    return DataYaml(root, names, splits, keypoints, oriented, (*remarks, *keypoint_remarks))


def _drop_repeated_splits(splits: dict[str | None, tuple[Path, ...]], file: Path) -> Iterator[str]:
    """Drop a split with the same images as another one; yield a remark for each."""
    for split, other in (("val", "train"), ("test", "train"), ("val", "test")):
        if splits.get(split) and set(splits[split]) == set(splits.get(other, ())):
            del splits[split]
            yield f"{file.name} names the same images for {other} and {split}: taken as {other} alone"


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Read class names from classes.txt or obj.names, one per line; empty if there is no such file.

    Roboflow's Darknet export has a file of them in each split.
    """
    places = [folder / name for name in ("classes.txt", "obj.names", "labels/classes.txt")]
    places += [inner / "_darknet.labels" for inner in list_subfolders(folder)]
    file = next((place for place in places if place.is_file()), None)
    return tuple(line.strip() for line in read_lines(file) if line.strip()) if file else ()


def _list_yaml_files(folder: Path) -> list[Path]:
    return list_folder_files(folder, ".yaml", ".yml")


def _load_mapping(file: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except Exception as error:  # YAML constructors raise any type: KeyError, ValueError, RecursionError
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise UserError(f"{file} cannot be read as plain YAML ({reason}): fix or remove it") from None
    if not isinstance(raw, dict):
        raise UserError(f"{file} is not a data YAML: expected keys such as train, val and names")
    for key in ("path", "nc"):
        if not is_plain_value(raw.get(key)):
            raise UserError(f"{key} in {file} is not a text or a number: correct it")
    return raw


def _check_download(raw: Mapping[str, Any], file: Path) -> list[str]:
    """Return a remark for a download URL; refuse anything else, since Ultralytics would run it as code.

    Raises:
        UserError: `download` is not a URL.
    """
    download = raw.get("download")
    if not download:
        return []
    if isinstance(download, str) and _URL.fullmatch(download.strip()):
        return [f"{file.name} names an address to download from, which was not asked"]
    raise UserError(
        f"{file} has a `download:` entry, which Ultralytics would run as code: remove it, "
        "and put the images where the file says they are"
    )


def _parse_names(raw: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    names, number = raw.get("names"), raw.get("nc")
    if isinstance(names, dict):
        by_index = {str(key): name for key, name in names.items() if is_plain_value(key)}
        if set(by_index) != {str(index) for index in range(len(names))}:
            raise UserError(f"the keys of names in {file} are not 0 to {len(names) - 1}: correct them")
        names = [by_index[str(index)] for index in range(len(by_index))]
    if not isinstance(names, list | None) or not all(map(is_plain_value, names or ())):
        raise UserError(f"names in {file} are not a list or a mapping of texts: correct them")
    if names and number is not None and number != len(names):
        found = format_count(len(names), "class")
        raise UserError(f"{file} states nc: {number}, but names has {found}: correct one of them")
    if not names and isinstance(number, int):
        if not 0 <= number <= _MAX_CLASSES:
            raise UserError(f"{file} states nc: {number}: set it to the number of classes")
        names = [f"class_{index}" for index in range(number)]
    return tuple(str(name) for name in names or ())


def _is_oriented(raw: Mapping[str, Any], file: Path) -> bool:
    texts = (raw.get("task"), raw.get("path"), file.stem, file.parent.name)
    return any(_ORIENTED_NAME.search(text.lower()) for text in texts if isinstance(text, str))
