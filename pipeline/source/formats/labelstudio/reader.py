"""Label Studio JSON: the full export (tasks with annotations), and JSON_MIN (a flat row per task)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.labelstudio.regions import regions, size, turned
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import SUFFIXES, images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, files, heads, load_json, own_name
from pipeline.source.types import Source

LOOKED_FOR: Final = "JSON list of tasks with annotations, or of rows with labels"

_UPLOADED: Final = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""
_UPLOADS: Final = re.compile(r"(^|/)data/upload(/|$)")
_FULL: Final = ("annotations", "completions")
_KINDS: Final = re.compile(
    rb'"(original_width|(rectangle|polygon|brush|keypoint|ellipse)labels|was_cancelled|annotator|annotation_id)"'
)
_FLAT: Final = {"id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time"}

Row = Mapping[str, Any]


def recognises(folder: Path) -> bool:
    """Look into the first JSON files for a list with words of Label Studio."""
    starts = (head.lstrip(b"\xef\xbb\xbf \r\n\t") for head in heads(folder, ".json"))
    return any(head.startswith((b"[", b"{")) and bool(_KINDS.search(head)) for head in starts)


def read(folder: Path) -> Source:
    """Read a Label Studio export.

    Raises:
        Refused: There is none, one cannot be read, or no image has an annotation.
    """
    tasks = [(path, task) for path in files(folder, ".json") for task in _tasks(path)]
    if not tasks:
        raise UserError(f"no Label Studio tasks in {folder}: expected {LOOKED_FOR}")
    return gather(
        folder, [_entry(path, task) for path, task in tasks], MatchingOptions(ImageIndex(images_in(folder)))
    )


def _tasks(path: Path) -> Iterator[Row]:
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: mend it or remove it") from None
    for task in data if isinstance(data, list) else [data]:
        if isinstance(task, dict) and (
            any(key in task for key in _FULL) or "annotation_id" in task or _flat(task)
        ):
            yield task


def _flat(task: Row) -> bool:
    """Tell whether a task holds regions itself: lists of objects with labels."""
    lists = [value for value in task.values() if isinstance(value, list)]
    return any(isinstance(row, dict) and "original_width" in row for rows in lists for row in rows)


def _entry(path: Path, task: Row) -> ImageAnnotations:
    full = next((task[key] for key in _FULL if isinstance(task.get(key), list)), None)
    results, notes, fault = _flattened(task) if full is None else _chosen(full)
    found, faults = regions(results)
    names = _names(task)
    if not names:
        fault = fault or "no image is named"
        names = (f"{own_name(path)}, task {task.get('id')}",)
    return ImageAnnotations(
        path, names, found, (*notes, *faults), size=size(results), fault=fault or turned(results)
    )


def _chosen(annotations: list[Any]) -> tuple[list[Any], list[AnnotationNote], str]:
    """Choose one annotation of a task: the ground truth, or else the newest that was not cancelled."""
    found = [row for row in annotations if isinstance(row, dict) and not row.get("was_cancelled")]
    if not found:
        return [], [], "nobody has annotated it"
    best = max(found, key=lambda row: (bool(row.get("ground_truth")), str(row.get("updated_at") or "")))
    which = "the ground truth" if best.get("ground_truth") else "the newest"
    notes = [AnnotationNote(False, f"{len(found)} annotations: {which} is used")] if len(found) > 1 else []
    results = best.get("result")
    return results if isinstance(results, list) else [], notes, ""


def _flattened(task: Row) -> tuple[list[Any], list[AnnotationNote], str]:
    """Bring a row of JSON_MIN to the form of the full export; a choice is a plain text there."""
    results: list[Any] = []
    for key, value in task.items():
        if key in _FLAT:
            continue
        if isinstance(value, list) and any(isinstance(row, dict) for row in value):
            results += [{"value": row, **row} if isinstance(row, dict) else row for row in value]
        elif isinstance(value, dict) and isinstance(value.get("choices"), list):
            results.append({"type": "choices", "value": value})
        elif key in {"choice", "choices", "class", "label", "category"} and isinstance(value, str):
            results.append({"type": "choices", "value": {"choices": [value]}})
    return results, [], ""


def _names(task: Row) -> tuple[str, ...]:
    """Return what the image may be called: the path in its address, also without an upload's prefix."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    stated = [value for value in (*data.values(), task.get("file_upload")) if isinstance(value, str)]
    paths = [path for value in stated if (path := _path(value)) and Path(path).suffix.lower() in SUFFIXES]
    return tuple(dict.fromkeys(name for path in paths for name in _spellings(path)))


def _path(address: str) -> str:
    """Take the path out of an address; /data/local-files/ has it in its query."""
    try:
        parts = urlsplit(address)
        inner = parse_qs(parts.query).get("d")
    except ValueError:
        return ""
    if parts.scheme == "data":
        return ""
    return inner[0] if inner else unquote(parts.path)


def _spellings(path: str) -> Sequence[str]:
    """Spell a path without the prefix of an upload, too; the folder of uploads is no folder of the source."""
    folder, _, name = path.replace("\\", "/").rpartition("/")
    place = "" if _UPLOADS.search(folder) else f"{folder}/"
    return tuple(dict.fromkeys((f"{place}{name}", f"{place}{_UPLOADED.sub('', name)}")))
