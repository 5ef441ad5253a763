"""data.yaml of YOLO datasets, as Ultralytics understands it, less what it would run or download."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.core.refusal import Refused
from pipeline.edges.datasets.source import images_in

_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


class Data(NamedTuple):
    """What a data.yaml says.

    Attributes:
        root: The folder its paths, and names in reports, are relative to.
        names: Class names by index, empty where it names none.
        splits: The image files of each split.
        pose: How many values of key points follow each box.
        remarks: What the user should know of how it was read.
    """

    root: Path
    names: tuple[str, ...]
    splits: Mapping[str | None, tuple[Path, ...]]
    pose: int = 0
    remarks: tuple[str, ...] = ()


def find(folder: Path) -> Path | None:
    """Find the data YAML of a folder: data.yaml, or the only YAML file there.

    Raises:
        Refused: There are several.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"} and path.is_file())
    usual = [path for path in found if path.stem in {"data", "dataset"}]
    if len(found) > 1 and len(usual) != 1:
        listed = ", ".join(path.name for path in found)
        raise Refused(
            f"{folder} holds several YAML files ({listed}): call the one that describes the dataset data.yaml"
        )
    return next(iter(usual or found), None)


def read(file: Path) -> Data:
    """Read a data YAML.

    Raises:
        Refused: It is no YAML mapping, asks for a download, or its names or paths make no sense.
    """
    raw = _mapping(file)
    if raw.get("download"):
        raise Refused(
            f"{file} has a `download:` entry, which Ultralytics would run as code: remove it, "
            "and put the images where the file says they are"
        )
    root = _root(raw, file)
    splits: dict[str | None, tuple[Path, ...]] = {}
    remarks = []
    for split, keys in _KEYS.items():
        named = next((raw[key] for key in keys if raw.get(key)), None)
        if named is None:
            continue
        splits[split] = tuple(dict.fromkeys(_images(named, root, file)))
        if not splits[split]:
            remarks.append(f"{file.name} names {split}: {named}, but there are no images")
    return Data(root, _names(raw, file), splits, _pose(raw), tuple(remarks))


def plain_names(folder: Path) -> tuple[str, ...]:
    """Read class names from classes.txt or obj.names, a line each; empty where there is neither."""
    places = (folder / name for name in ("classes.txt", "obj.names", "labels/classes.txt"))
    file = next((place for place in places if place.is_file()), None)
    lines = file.read_text(encoding="utf-8-sig").splitlines() if file else []
    return tuple(line.strip() for line in lines if line.strip())


def _mapping(file: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise Refused(f"{file} cannot be read as plain YAML ({reason}): mend it or remove it") from None
    if not isinstance(raw, dict):
        raise Refused(f"{file} is no data YAML: expected keys such as train, val and names")
    return raw


def _root(raw: Mapping[str, Any], file: Path) -> Path:
    """Return the folder of `path:`, or the file's own where there is none or it is gone, as after a move."""
    stated = Path(str(raw.get("path") or "."))
    root = file.parent / stated  # an absolute path replaces the folder
    return (root if root.is_dir() else file.parent).resolve()


def _images(named: Any, root: Path, file: Path) -> list[Path]:
    """List the images of a folder, a .txt file with a path per line, or several of these."""
    parts = named if isinstance(named, list) else [named]
    if not all(isinstance(part, str) for part in parts):
        raise Refused(
            f"{file} has for train, val or test neither a folder, nor a .txt file, nor a list of these"
        )
    return [image for part in parts for image in _part(part, root)]


def _part(named: str, root: Path) -> list[Path]:
    place = _existing(named, root)
    if place.suffix == ".txt" and place.is_file():
        lines = place.read_text(encoding="utf-8-sig").splitlines()
        return [_listed(line.strip(), place.parent, root) for line in lines if line.strip()]
    return images_in(place)


def _existing(named: str, root: Path) -> Path:
    """Roboflow writes `../train/images` for `train/images`, and Ultralytics takes it so; so does this."""
    place = root / named
    return root / named[3:] if not place.exists() and named.startswith("../") else place.resolve()


def _listed(line: str, beside: Path, root: Path) -> Path:
    """Return the image of a line: relative to the list, or else to the dataset."""
    place = beside / line
    return (place if place.exists() else root / line).resolve()


def _names(raw: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    names, number = raw.get("names"), raw.get("nc")
    if isinstance(names, dict):
        keys = {str(key): name for key, name in names.items()}
        if set(keys) != {str(index) for index in range(len(keys))}:
            raise Refused(f"{file} numbers its names otherwise than 0 to {len(keys) - 1}: number them so")
        names = [keys[str(index)] for index in range(len(keys))]
    if not isinstance(names, list | None) or any(isinstance(name, list | dict) for name in names or ()):
        raise Refused(f"{file} has names that are neither a list nor a mapping of plain words: write them so")
    if names and number is not None and number != len(names):
        raise Refused(f"{file} says nc: {number}, but names {len(names)} classes: make them agree")
    if not names and isinstance(number, int):
        names = [f"class_{index}" for index in range(number)]
    return tuple(str(name) for name in names or ())


def _pose(raw: Mapping[str, Any]) -> int:
    shape = raw.get("kpt_shape")
    return math.prod(shape) if isinstance(shape, list) and all(isinstance(n, int) for n in shape) else 0
