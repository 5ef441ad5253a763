"""data.yaml of YOLO datasets, as Ultralytics understands it, less what it would run or download."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.yolo import keypoints as yolo_keypoints
from pipeline.source.formats.yolo.image_paths import named_images, root_of
from pipeline.source.formats.yolo.plain_yaml import plain
from pipeline.source.reading.file_tree import files_of, folders_in, head_of
from pipeline.source.reading.parsing import lines_of

_KEYS: Final = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_USUAL: Final = ("data", "dataset")
_URL: Final = re.compile(r"https?://\S+")
_ORIENTED: Final = re.compile(r"(?<![a-z])(obb|dota)")
_MOST_CLASSES: Final = 100_000


class DataYaml(NamedTuple):
    """What a data.yaml says.

    Attributes:
        root: The folder its paths, and names in reports, are relative to.
        names: Class names by index, empty where it names none.
        splits: The image files of each split.
        keypoints: The points of a pose (kpt_shape).
        oriented: It calls itself a dataset of oriented boxes.
        remarks: What the user should know of how it was read.
    """

    root: Path
    names: tuple[str, ...]
    splits: Mapping[str | None, tuple[Path, ...]]
    keypoints: Keypoints | None = None
    oriented: bool = False
    remarks: tuple[str, ...] = ()


def recognises(folder: Path) -> bool:
    """Tell whether a folder has a data.yaml, or another YAML file with the keys of one."""
    keys = re.compile(rb"^(train|val|valid|test|names|nc)\s*:", re.MULTILINE)
    return any(path.stem in _USUAL or len(set(keys.findall(head_of(path)))) > 1 for path in _yamls(folder))


def find(folder: Path) -> Path | None:
    """Find the data YAML of a folder: data.yaml, or the only YAML file there.

    Raises:
        Refused: There are several.
    """
    found = _yamls(folder)
    usual = [path for path in found if path.stem in _USUAL]
    if len(found) > 1 and len(usual) != 1:
        listed = ", ".join(path.name for path in found)
        raise UserError(
            f"{folder} holds several YAML files ({listed}): call the one that describes the dataset data.yaml"
        )
    return next(iter(usual or found), None)


def read(file: Path) -> DataYaml:
    """Read a data YAML.

    Raises:
        Refused: It is no YAML mapping, has code to run, or its names or paths make no sense.
    """
    raw = _mapping(file)
    remarks = _download(raw, file)
    root = root_of(raw, file)
    splits: dict[str | None, tuple[Path, ...]] = {}
    for split, keys in _KEYS.items():
        named = next((raw[key] for key in keys if raw.get(key)), None)
        if named is None:
            continue
        splits[split] = tuple(dict.fromkeys(named_images(named, root, file)))
        if not splits[split]:
            remarks.append(f"{file.name} names {split}: {named}, but there are no images")
    remarks += _same(splits, file)
    keypoints, mirrored = yolo_keypoints.read(raw, file)
    return DataYaml(root, _names(raw, file), splits, keypoints, _oriented(raw, file), (*remarks, *mirrored))


def _same(splits: dict[str | None, tuple[Path, ...]], file: Path) -> Iterator[str]:
    """Drop a split that names the very images of another: it holds nothing out."""
    for split, other in (("val", "train"), ("test", "train"), ("val", "test")):
        if splits.get(split) and set(splits[split]) == set(splits.get(other, ())):
            del splits[split]
            yield f"{file.name} names the same images for {other} and {split}: taken as {other} alone"


def plain_names(folder: Path) -> tuple[str, ...]:
    """Read class names from classes.txt or obj.names, a line each; empty where there is neither.

    Roboflow's Darknet export has them in each split.
    """
    places = [folder / name for name in ("classes.txt", "obj.names", "labels/classes.txt")]
    places += [inner / "_darknet.labels" for inner in folders_in(folder)]
    file = next((place for place in places if place.is_file()), None)
    return tuple(line.strip() for line in lines_of(file) if line.strip()) if file else ()


def _yamls(folder: Path) -> list[Path]:
    return files_of(folder, ".yaml", ".yml")


def _mapping(file: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except Exception as error:  # its constructors raise what they like: KeyError, ValueError, RecursionError
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise UserError(f"{file} cannot be read as plain YAML ({reason}): mend it or remove it") from None
    if not isinstance(raw, dict):
        raise UserError(f"{file} is no data YAML: expected keys such as train, val and names")
    for key in ("path", "nc"):
        if not plain(raw.get(key)):
            raise UserError(f"{file} has under {key} neither a word nor a number: write one")
    return raw


def _download(raw: Mapping[str, Any], file: Path) -> list[str]:
    """Leave an address aside, and refuse anything else, which Ultralytics would run."""
    wanted = raw.get("download")
    if not wanted:
        return []
    if isinstance(wanted, str) and _URL.fullmatch(wanted.strip()):
        return [f"{file.name} names an address to download from, which was not asked"]
    raise UserError(
        f"{file} has a `download:` entry, which Ultralytics would run as code: remove it, "
        "and put the images where the file says they are"
    )


def _names(raw: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    names, number = raw.get("names"), raw.get("nc")
    if isinstance(names, dict):
        keys = {str(key): name for key, name in names.items() if plain(key)}
        if set(keys) != {str(index) for index in range(len(names))}:
            raise UserError(f"{file} numbers its names otherwise than 0 to {len(names) - 1}: number them so")
        names = [keys[str(index)] for index in range(len(keys))]
    if not isinstance(names, list | None) or not all(map(plain, names or ())):
        raise UserError(
            f"{file} has names that are neither a list nor a mapping of plain words: write them so"
        )
    if names and number is not None and number != len(names):
        raise UserError(
            f"{file} says nc: {number}, but names {format_count(len(names), 'class')}: make them agree"
        )
    if not names and isinstance(number, int):
        if not 0 <= number <= _MOST_CLASSES:
            raise UserError(f"{file} says nc: {number}: write the number of classes")
        names = [f"class_{index}" for index in range(number)]
    return tuple(str(name) for name in names or ())


def _oriented(raw: Mapping[str, Any], file: Path) -> bool:
    said = (raw.get("task"), raw.get("path"), file.stem, file.parent.name)
    return any(_ORIENTED.search(str(word).lower()) for word in said if isinstance(word, str))
