"""Read Label Studio JSON: the full export (tasks with annotations), and JSON_MIN (a flat row per task)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.labelstudio.regions import (
    find_image_size,
    find_rotation_fault,
    list_drawn_on,
    parse_regions,
)
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, format_file_name, load_json, read_heads
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON list of tasks with annotations, or of rows with labels"

_UPLOAD_PREFIX: Final = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""Label Studio adds this before the name of an uploaded file."""
_UPLOAD_FOLDER: Final = re.compile(r"(^|/)data/upload(/|$)")
_ANNOTATION_KEYS: Final = ("annotations", "completions")
_KNOWN_KEYS: Final = re.compile(
    rb'"(original_width|(rectangle|polygon|brush|bitmask|vector|keypoint|ellipse)labels|was_cancelled|annotator'
    rb'|annotation_id)"'
)
_NON_LABEL_KEYS: Final = {"id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time"}

Row = Mapping[str, Any]


def matches_folder(folder: Path) -> bool:
    """Look for keys of Label Studio at the beginnings of the first JSON files."""
    starts = (head.lstrip(b"\xef\xbb\xbf \r\n\t") for head in read_heads(folder, ".json"))
    return any(head.startswith((b"[", b"{")) and bool(_KNOWN_KEYS.search(head)) for head in starts)


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a Label Studio export.

    Raises:
        UserError: There is no export, a file cannot be read, or no image has an annotation.
    """
    tasks = [(path, task) for path in list_files(folder, ".json") for task in _iterate_tasks(path)]
    if not tasks:
        raise UserError(f"no Label Studio tasks in {folder}: expected {RECOGNIZED_BY}")
    if options.predictions == "labels":
        tasks = [(path, _take_predictions(task)) for path, task in tasks]
    elif all(_is_only_predicted(task) for _, task in tasks):
        raise UserError(
            f"{tasks[0][0]} holds predictions of a model, and nobody has annotated a task: annotate them, or "
            "set data.predictions=labels to train on them"
        )
    annotations = [_parse_task(path, task) for path, task in tasks]
    remarks = _describe_predictions([task for _, task in tasks], options.predictions)
    return assemble_source(folder, annotations, MatchingOptions(ImageIndex(list_images(folder))), remarks)


def _take_predictions(task: Row) -> Row:
    """Use the predictions of a task that nobody has annotated."""
    return {**task, _find_key(task): task["predictions"]} if _is_only_predicted(task) else task


def _is_only_predicted(task: Row) -> bool:
    is_annotated = _find_valid_annotations(task.get(_find_key(task)))
    return bool(_find_valid_annotations(task.get("predictions"))) and not is_annotated


def _find_key(task: Row) -> str:
    return next((key for key in _ANNOTATION_KEYS if isinstance(task.get(key), list)), _ANNOTATION_KEYS[0])


def _describe_predictions(tasks: Sequence[Row], policy: str) -> list[str]:
    """Return a remark about tasks with predictions of a model."""
    number = sum(bool(_find_valid_annotations(task.get("predictions"))) for task in tasks)
    if not number:
        return []
    used = "labels where nobody has annotated the image"
    how = (
        f"read as {used}"
        if policy == "labels"
        else f"left aside (data.predictions=labels takes them for {used})"
    )
    return [f"{format_count(number, 'task')} with predictions of a model: {how}"]


def _iterate_tasks(path: Path) -> Iterator[Row]:
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None
    for task in data if isinstance(data, list) else [data]:
        if isinstance(task, dict) and (
            any(key in task for key in _ANNOTATION_KEYS) or "annotation_id" in task or _holds_regions(task)
        ):
            yield task


def _holds_regions(task: Row) -> bool:
    """Check whether a flat task holds regions: lists of objects with `original_width`."""
    lists = [value for value in task.values() if isinstance(value, list)]
    return any(isinstance(row, dict) and "original_width" in row for rows in lists for row in rows)


def _parse_task(path: Path, task: Row) -> ImageAnnotations:
    annotations = next((task[key] for key in _ANNOTATION_KEYS if isinstance(task.get(key), list)), None)
    results, notes, fault = (
        (_expand_flat_task(task), [], "") if annotations is None else _choose_annotation(annotations)
    )
    objects, region_notes = parse_regions(results)
    names, doubt = _choose_image(task, list_drawn_on(results))
    fault = fault or doubt
    if not names:
        fault = fault or "no image is named"
        names = (f"{format_file_name(path)}, task {task.get('id')}",)
    return ImageAnnotations(
        path,
        names,
        objects,
        (*notes, *region_notes),
        size=find_image_size(results),
        fault=fault or find_rotation_fault(results),
    )


def _choose_annotation(annotations: list[Any]) -> tuple[list[Any], list[AnnotationNote], str]:
    """Choose one annotation of a task: the ground truth, else the newest one that is not cancelled.

    Returns:
        Its results, notes, and why the task cannot be used; empty if it can.
    """
    found = _find_valid_annotations(annotations)
    if not found:
        return [], [], "nobody has annotated it"
    best = max(found, key=lambda row: (bool(row.get("ground_truth")), str(row.get("updated_at") or "")))
    which = "the ground truth" if best.get("ground_truth") else "the newest"
    notes = [AnnotationNote(False, f"{len(found)} annotations: {which} is used")] if len(found) > 1 else []
    results = best.get("result")
    return results if isinstance(results, list) else [], notes, ""


def _find_valid_annotations(stated: Any) -> list[Row]:
    """Return the annotations, or predictions, that nobody has cancelled."""
    rows = stated if isinstance(stated, list) else []
    return [row for row in rows if isinstance(row, dict) and not row.get("was_cancelled")]


def _expand_flat_task(task: Row) -> list[Any]:
    """Convert a row of JSON_MIN, where a choice is a plain text, to results of the full export."""
    results: list[Any] = []
    for key, value in task.items():
        if key in _NON_LABEL_KEYS:
            continue
        if isinstance(value, list) and any(isinstance(row, dict) for row in value):
            results += [{"value": row, **row} if isinstance(row, dict) else row for row in value]
        elif isinstance(value, dict) and isinstance(value.get("choices"), list):
            results.append({"type": "choices", "value": value})
        elif key in {"choice", "choices", "class", "label", "category"} and isinstance(value, str):
            results.append({"type": "choices", "value": {"choices": [value]}})
    return results


def _choose_image(task: Row, drawn_on: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Choose the image of a task, which can show several ones side by side.

    Args:
        task: The task.
        drawn_on: The image tags that its regions are about, usually called as the key of their image.

    Returns:
        Possible names of the image file: the path of its URL, with and without the upload prefix. And why it
        is not clear which image the regions are about; empty if it is.
    """
    data = task["data"] if isinstance(task.get("data"), dict) else task
    paths = {key: path for key, value in data.items() if (path := _find_image_path(value))}
    doubt = ""
    if len({Path(path).name for path in paths.values()}) > 1 and len(drawn_on) <= 1:
        chosen = {key: path for key, path in paths.items() if key in drawn_on}
        doubt = "" if chosen else f"it shows {len(paths)} images, and not which one its labels are about"
        paths = chosen or paths
    elif len(drawn_on) > 1:
        doubt = f"its labels are about several images ({', '.join(sorted(drawn_on))}): one task for each"
    uploaded = _find_image_path(task.get("file_upload"))
    found = [*paths.values(), uploaded] if uploaded and len(paths) <= 1 else [*paths.values()]
    return tuple(dict.fromkeys(name for path in found for name in _name_variants(path))), doubt


def _find_image_path(value: Any) -> str:
    """Return the path of the image file that a value of a task names; empty if it names none."""
    path = _path_of_url(value) if isinstance(value, str) else ""
    return path if Path(path).suffix.lower() in IMAGE_SUFFIXES else ""


def _path_of_url(url: str) -> str:
    """Return the path of a URL; /data/local-files/ states it in the query."""
    try:
        parts = urlsplit(url)
        inner = parse_qs(parts.query).get("d")
    except ValueError:
        return ""
    if parts.scheme == "data":
        return ""
    return inner[0] if inner else unquote(parts.path)


def _name_variants(path: str) -> Sequence[str]:
    """Return a path with and without the upload prefix; the upload folder is not part of the source."""
    folder, _, name = path.replace("\\", "/").rpartition("/")
    prefix = "" if _UPLOAD_FOLDER.search(folder) else f"{folder}/"
    return tuple(dict.fromkeys((f"{prefix}{name}", f"{prefix}{_UPLOAD_PREFIX.sub('', name)}")))
