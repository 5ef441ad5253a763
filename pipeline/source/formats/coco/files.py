"""Find the annotation files of a COCO dataset, and the images that they do not list."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from pipeline.config.source_paths import find_source_folder, may_hold_images
from pipeline.core.findings import Finding
from pipeline.core.text import format_count
from pipeline.source.formats.coco.categories import normalize_id
from pipeline.source.formats.coco.json_file import parse_json_file
from pipeline.source.formats.coco.predictions import (
    describe_predictions,
    drop_scored_annotations,
    find_predicted_files,
    looks_like_detections,
    merge_detections,
    refuse_predictions,
)
from pipeline.source.formats.coco.unusable_files import refuse_unusable_files
from pipeline.source.plausibility.predictions import repeat_images
from pipeline.source.plausibility.versions import find_copies
from pipeline.source.reading.file_tree import (
    format_relative_path,
    get_file_size,
    list_folder_files,
    list_images,
    list_subfolders,
    read_head,
)
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, find_split_in_name

_IMAGE_LIST: Final = re.compile(rb'"images"\s*:\s*\[\s*\{')
_OTHER_KEYS: Final = re.compile(rb'"(categories|annotations|image_id)"\s*:')
_TAIL_BYTES: Final = 65_536
_MAX_CHECKED_FILES: Final = 20
_REQUIRED_KEYS: Final = ("images", "annotations", "categories")
_BOX_FILE_NAMES: Final = ("_annotations.coco", "instances", "keypoints", "stuff")
"""Parts of the names of files with objects. Only the first kind found is read: the others repeat it."""
_POSE_FILE_NAMES: Final = ("keypoints", *_BOX_FILE_NAMES)


class CocoFiles(NamedTuple):
    """The parsed annotation files, and remarks on files that are not read."""

    files: dict[Path, dict[str, Any]]
    remarks: tuple[str, ...]


def has_coco_json(folder: Path) -> bool:
    """Check the start and end of the first JSON files for an object with a list of images."""
    return any(
        is_coco_json(path)
        for place in _list_annotation_folders(folder)
        for path in list_folder_files(place, ".json")[:_MAX_CHECKED_FILES]
    )


def find_coco_files(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> CocoFiles:
    """Find and parse the annotation files: of several kinds (instances, keypoints) one, and no model output.

    Raises:
        UserError: There is no annotation file, one is not valid JSON, or all are model output.
    """
    found = list_coco_candidates(folder, options)
    wants_predictions = options.predictions == "labels"
    files, predicted = _load_labels(found, options)
    if not files:
        raise (refuse_predictions(predicted) if predicted else refuse_unusable_files(found, folder))
    unread = [path for path in found if path not in files]
    predicted += [path for path in unread if path not in predicted and looks_like_detections(path)]
    if wants_predictions:
        predicted = _merge_lists(files, predicted)
    others = [path for path in unread if path not in predicted]
    remarks = describe_predictions(predicted, folder, used=wants_predictions)
    if not wants_predictions:
        for path, data in files.items():
            remarks += drop_scored_annotations(data, path, folder)
    return CocoFiles(files, (*_describe_unread(others, folder, options.task), *remarks))


def list_coco_candidates(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> list[Path]:
    """List the JSON files that may be annotations: the one that data.source names, or all."""
    if options.file:
        return [options.file]
    return [path for place in _list_annotation_folders(folder) for path in list_folder_files(place, ".json")]


def _load_labels(
    found: Sequence[Path], options: ReadOptions
) -> tuple[dict[Path, dict[str, Any]], list[Path]]:
    """Load the files of the first kind that holds labels; return them, and the files of model output."""
    wants_predictions = options.predictions == "labels"
    files: dict[Path, dict[str, Any]] = {}
    predicted: list[Path] = []
    others = list(found)
    while others and not files:
        chosen = _choose_kind(others, options.task)
        if wants_predictions:
            chosen += [path for path in others if path not in chosen and looks_like_detections(path)]
        files = {path: data for path in chosen if (data := _load_file(path))}
        outputs = find_predicted_files(files)
        predicted += outputs
        files = files if wants_predictions else {path: files[path] for path in files if path not in outputs}
        others = [path for path in others if path not in chosen]
    files = _drop_other_shapes(files, options.task)
    copies = _find_copies(files) if len(files) > 1 and not wants_predictions else []
    return {path: data for path, data in files.items() if path not in copies}, predicted


def _choose_kind(paths: list[Path], task: str) -> list[Path]:
    """Choose the files of one kind by their names; all of them if no name says what they hold."""
    kinds = _POSE_FILE_NAMES if task == "pose" else _BOX_FILE_NAMES
    ranked = ([path for path in paths if _is_of_kind(path, kind, task)] for kind in kinds)
    return next(filter(None, ranked), list(paths))


def _is_of_kind(path: Path, kind: str, task: str) -> bool:
    is_pose = "keypoints" in path.name.lower()
    return kind in path.name.lower() and (is_pose == (kind == "keypoints") or task == "pose")


def _drop_other_shapes(files: dict[Path, dict[str, Any]], task: str) -> dict[Path, dict[str, Any]]:
    """Of files with keypoints and files without that describe the same images, keep one kind."""
    poses = {path for path, data in files.items() if _holds_keypoints(data)}
    names = {path: [str(row.get("file_name")) for row in data["images"]] for path, data in files.items()}
    with_points = [name for path in poses for name in names[path]]
    without = [name for path in files if path not in poses for name in names[path]]
    if not repeat_images(with_points, without):
        return files
    return {path: data for path, data in files.items() if (path in poses) == (task == "pose")}


def _find_copies(files: Mapping[Path, Mapping[str, Any]]) -> list[Path]:
    """Find files that repeat others, among those that list an image of another file."""
    names = {
        path: {normalize_id(row.get("id")): str(row.get("file_name")) for row in data["images"]}
        for path, data in files.items()
    }
    counts = Counter(name for listed in names.values() for name in set(listed.values()))
    shared = [path for path in files if any(counts[name] > 1 for name in names[path].values())]
    return find_copies({path: _list_objects(files[path], names[path]) for path in shared})


def _list_objects(file: Mapping[str, Any], names: Mapping[str, str]) -> set[tuple[str | None, str, str]]:
    """Return image, box and category of each object, to compare files by."""
    return {
        (
            names.get(normalize_id(row.get("image_id"))),
            str(row.get("bbox")),
            normalize_id(row.get("category_id")),
        )
        for row in file["annotations"]
    }


def _holds_keypoints(data: Mapping[str, Any]) -> bool:
    rows = data["annotations"]
    return bool(rows) and 2 * sum(bool(row.get("keypoints")) for row in rows) >= len(rows)


def _merge_lists(files: dict[Path, dict[str, Any]], predicted: Sequence[Path]) -> list[Path]:
    """Add lists of detections to the files of their images; return the files of model output in use."""
    for path in predicted:
        rows = parse_json_file(path)
        if path not in files and isinstance(rows, list):
            merge_detections(files, rows, path)
    return list(predicted)


def _describe_unread(paths: Sequence[Path], folder: Path, task: str) -> tuple[str, ...]:
    if not paths:
        return ()
    unread = ", ".join(format_relative_path(path, folder) for path in paths)
    has_poses = task != "pose" and any("keypoints" in path.name.lower() for path in paths)
    advice = " (data.task=pose reads keypoints)" if has_poses else ""
    return (f"not read, since other files describe the objects: {unread}{advice}",)


def find_image_folder(
    folder: Path, files: Mapping[Path, Mapping[str, Any]], options: ReadOptions
) -> tuple[Path, ImageIndex, tuple[str, ...]]:
    """Find the folder with the images; for a file that data.source names they may be beside its folder.

    Returns:
        The folder that paths are relative to, the images in it, and a remark if they are not where `compose`
        looks for changes.
    """
    images = list_images(folder)
    above = folder.parent
    listed = {
        PurePosixPath(str(row.get("file_name")).replace("\\", "/")).stem
        for data in files.values()
        for row in data["images"]
    }
    is_here = any(path.stem in listed for path in images)
    if not options.file or is_here or not may_hold_images(above):
        return folder, ImageIndex(images), ()
    beside = above / "images"
    remark = f"images lie outside data.source, in {above}, where changes go unnoticed: name that folder"
    remarks = () if find_source_folder(options.file) == above else (remark,)
    return above, ImageIndex(list_images(beside) or list_images(above)), remarks


def describe_unlisted_folders(
    entries: Mapping[Path, Any], image_index: ImageIndex, folder: Path
) -> list[str]:
    """Describe the folders with no listed image, such as a test set without labels."""
    if len(entries) == len(image_index.images):
        return []
    listed = {path.parent for path in entries}
    others = [path for path in image_index.images if path.parent not in listed]
    folders = ", ".join(sorted({f"{format_relative_path(path.parent, folder)}/" for path in others}))
    number = format_count(len(others), "image")
    return [f"{number} in {folders} where no annotation file lists any: left aside"] if others else []


def find_unlisted_images(entries: Mapping[Path, Any], image_index: ImageIndex, folder: Path) -> list[Finding]:
    """Report unlisted images in folders with listed ones; they are not assumed to be background."""
    others = [path for path in image_index.images if path not in entries]
    listed_folders = {path.parent for path in entries} if others else set()
    return [
        Finding(
            format_relative_path(path, folder),
            "quarantined",
            "not listed in any annotation file",
            "unlisted-image",
        )
        for path in sorted(others, key=lambda path: (path.parent, path))
        if path.parent in listed_folders
    ]


def _list_annotation_folders(folder: Path) -> list[Path]:
    inner = list_subfolders(folder)
    return [folder, *inner, *(path / "annotations" for path in inner if find_split_in_name(path.name))]


def _load_file(path: Path) -> dict[str, Any] | None:
    """Read a file; return None if it does not describe objects in images, as captions do not."""
    data = parse_json_file(path)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in _REQUIRED_KEYS):
        return None
    data |= {key: [row for row in data[key] if isinstance(row, dict)] for key in _REQUIRED_KEYS}
    data["images"] = [_name_by_url(row) for row in data["images"]]
    has_shapes = any({"bbox", "segmentation"} & set(row) for row in data["annotations"])
    return data if has_shapes or not data["annotations"] else None


def _name_by_url(row: dict[str, Any]) -> dict[str, Any]:
    """Take the folder and the name of an image without file_name from coco_url, as LVIS states them."""
    if row.get("file_name") or not isinstance(row.get("coco_url"), str):
        return row
    return row | {"file_name": "/".join(row["coco_url"].split("/")[-2:])}


def is_coco_json(path: Path) -> bool:
    """Check the start and end of a file for an object with a list of images.

    In a large file the list of images may start in the middle: there the other lists of COCO count.
    """
    head, tail = read_head(path), _read_tail(path)
    if not head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{"):
        return False
    if _IMAGE_LIST.search(head) or _IMAGE_LIST.search(tail):
        return True
    is_large = (get_file_size(path) or 0) > len(head) + len(tail)
    return is_large and bool(_OTHER_KEYS.search(head + tail))


def _read_tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES), os.SEEK_SET)
            return file.read()
    except OSError:
        return b""
