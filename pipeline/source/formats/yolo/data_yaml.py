"""Read the data.yaml of YOLO datasets as Ultralytics does, but run and download nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.class_names import ClassList
from pipeline.source.formats.yolo.image_paths import SplitPath, find_split_paths, resolve_root
from pipeline.source.formats.yolo.keypoints import parse_kpt_shape
from pipeline.source.formats.yolo.plain_yaml import is_plain_value, load_yaml_texts
from pipeline.source.reading.file_tree import list_folder_files, read_head

_SPLIT_KEYS: Final = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_USUAL_STEMS: Final = ("data", "dataset")
_URL: Final = re.compile(r"https?://\S+")
_ORIENTED_NAME: Final = re.compile(r"(?<![a-z])(obb|dota)")
_MAX_CLASSES: Final = 100_000


class DataYaml(NamedTuple):
    """The content of a data.yaml.

    Attributes:
        root: Paths, also those in reports, are relative to this folder.
        splits: The image files of each split.
        classes: The class names that it states; None if it states none.
        class_count: The number of classes that it states (nc).
        missing: The paths that it states for images, and that do not exist or hold none.
        keypoints: The keypoints of a pose (kpt_shape).
        oriented: A name in it says that it has oriented boxes.
        remarks: What the user should know about how it was read.
    """

    root: Path
    splits: Mapping[str | None, tuple[Path, ...]]
    classes: ClassList | None = None
    class_count: int = 0
    missing: tuple[SplitPath, ...] = ()
    keypoints: Keypoints | None = None
    oriented: bool = False
    remarks: tuple[str, ...] = ()


def has_data_yaml(folder: Path) -> bool:
    """Check for a data.yaml, or another YAML file with two or more of its keys."""
    keys = re.compile(rb"^(train|val|valid|test|names|nc)\s*:", re.MULTILINE | re.IGNORECASE)
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


def read_data_yaml(file: Path, *, first_class: str | int = "auto") -> DataYaml:
    """Read a data YAML.

    Args:
        file: The file.
        first_class: As in data.first_class; 1 allows names that are numbered from 1.

    Raises:
        UserError: It is not a YAML mapping, it contains code, or its names or paths are invalid.
    """
    text, raw = _load_mapping(file)
    remarks = [*_check_download(raw, file), *_describe_channels(raw, file)]
    root = resolve_root(raw, file)
    stated_splits = {str(key).lower(): value for key, value in raw.items()}  # CVAT: Train, Validation, Test
    paths = [
        path
        for split, keys in _SPLIT_KEYS.items()
        if (stated := next(filter(None, map(stated_splits.get, keys)), None)) is not None
        for path in find_split_paths(split, stated, root, file)
    ]
    splits = _collect_splits(paths)
    remarks += _describe_paths(paths, splits, file)
    remarks += drop_repeated_splits(splits, file)
    keypoints, keypoint_remarks = parse_kpt_shape(raw, file)
    names = _parse_names(raw, text.get("names"), file, first_class)
    return DataYaml(
        root,
        splits,
        ClassList(file.name, names, tuple(names)) if names else None,
        _parse_class_count(raw, len(names), file),
        tuple(path._replace(prefix=str(raw.get("path") or "")) for path in paths if not path.images),
        keypoints,
        _is_oriented(raw, file),
        (*remarks, *_describe_shift(raw, names, file), *keypoint_remarks),
    )


def _collect_splits(paths: Sequence[SplitPath]) -> dict[str | None, tuple[Path, ...]]:
    splits: dict[str | None, tuple[Path, ...]] = {}
    for path in paths:
        splits[path.split] = tuple(dict.fromkeys((*splits.get(path.split, ()), *path.images)))
    return splits


def _describe_paths(
    paths: Sequence[SplitPath], splits: Mapping[str | None, tuple[Path, ...]], file: Path
) -> Iterator[str]:
    """Tell of paths that were found under another name, and of splits without images."""
    for path in paths:
        if path.renamed:
            yield f"{file.name} names {path.split}: {path.stated}, which is missing: {path.renamed} is taken"
        elif not splits[path.split]:
            yield f"{file.name} names {path.split}: {path.stated}, but there are no images"


def drop_repeated_splits(splits: dict[str | None, tuple[Path, ...]], file: Path) -> Iterator[str]:
    """Drop a split with the same images as another one; yield a remark for each."""
    for split, other in (("val", "train"), ("test", "train"), ("val", "test")):
        if splits.get(split) and set(splits[split]) == set(splits.get(other, ())):
            del splits[split]
            yield f"{file.name} names the same images for {other} and {split}: taken as {other} alone"


def _list_yaml_files(folder: Path) -> list[Path]:
    return list_folder_files(folder, ".yaml", ".yml")


def _load_mapping(file: Path) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Read a YAML mapping: once with all scalars as texts, once with numbers and so on."""
    try:
        written = file.read_text(encoding="utf-8-sig")
        raw = yaml.safe_load(written)
        text = load_yaml_texts(written)
    except Exception as error:  # YAML constructors raise any type: KeyError, ValueError, RecursionError
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise UserError(f"{file} cannot be read as plain YAML ({reason}): fix or remove it") from None
    if not isinstance(raw, dict) or not isinstance(text, dict):
        raise UserError(f"{file} is not a data YAML: expected keys such as train, val and names")
    for key in ("path", "nc"):
        if not is_plain_value(raw.get(key)):
            raise UserError(f"{key} in {file} is not a text or a number: correct it")
    return text, raw


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


def _describe_channels(raw: Mapping[str, Any], file: Path) -> list[str]:
    """Tell of a number of channels other than three, which Ultralytics would use."""
    channels = raw.get("channels")
    if channels is None or channels == 3 or not is_plain_value(channels):
        return []
    return [f"{file.name} states channels: {channels}; images are read with three channels, gray ones too"]


def _parse_names(raw: Mapping[str, Any], written: Any, file: Path, first_class: str | int) -> dict[int, str]:
    """Return the names by class number, as the texts that are written: `off` and `007` stay so.

    Names that the file numbers from 0 are numbered from 1 if data.first_class says so, as a list is.
    """
    names, lowest = raw.get("names"), int(str(first_class) == "1")
    if not names:
        return {}
    if isinstance(names, dict):
        _check_keys(names, file, first_class)
        first = min(int(key) for key in names)
        values = {int(key): name for key, name in written.items()} if isinstance(written, dict) else {}
        names, written = list(names.values()), [values.get(first + index) for index in range(len(values))]
    else:
        first = lowest
    is_list = isinstance(names, list) and isinstance(written, list)
    if not is_list or not all(map(is_plain_value, names)) or not all(isinstance(n, str) for n in written):
        raise UserError(f"names in {file} are not a list or a mapping of texts: correct them")
    if "" in written:
        raise UserError(f"names in {file} has no name for class {first + written.index('')}: add it")
    return dict(enumerate(written, max(first, lowest)))


def _describe_shift(raw: Mapping[str, Any], names: Mapping[int, str], file: Path) -> list[str]:
    """Tell of names that stand at the numbers 0 and up in the file, and are read as 1 and up."""
    stated = raw.get("names")
    if not isinstance(stated, dict) or min(map(int, stated), default=0) == min(names, default=0):
        return []
    return [f"{file.name} numbers its classes from 0, and data.first_class=1 from 1: {names[1]} is class 1"]


def _check_keys(names: Mapping[Any, Any], file: Path, first_class: str | int) -> None:
    """Check that classes are numbered from 0, or from 1 if data.first_class says so.

    Raises:
        UserError: They are not.
    """
    keys = {str(key) for key in names if is_plain_value(key)}
    count, first = len(names), int(str(first_class) == "1")
    if keys not in [{str(index + start) for index in range(count)} for start in {0, first}]:
        from_one = keys == {str(index + 1) for index in range(count)}
        hint = "; if the labels count classes from 1, set data.first_class=1" if from_one else ""
        raise UserError(f"the keys of names in {file} are not 0 to {count - 1}: correct them{hint}")


def _parse_class_count(raw: Mapping[str, Any], count: int, file: Path) -> int:
    """Return nc; 0 if it is not stated.

    Raises:
        UserError: It contradicts the names, or is no number of classes.
    """
    number = raw.get("nc")
    if count and number is not None and number != count:
        found = format_count(count, "class")
        raise UserError(f"{file} states nc: {number}, but names has {found}: correct one of them")
    if not isinstance(number, int) or count:
        return count
    if not 0 <= number <= _MAX_CLASSES:
        raise UserError(f"{file} states nc: {number}: set it to the number of classes")
    return int(number)


def _is_oriented(raw: Mapping[str, Any], file: Path) -> bool:
    texts = (raw.get("task"), raw.get("path"), file.stem, file.parent.name)
    return any(_ORIENTED_NAME.search(text.lower()) for text in texts if isinstance(text, str))
