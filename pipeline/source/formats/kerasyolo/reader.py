"""Read the lists of keras-yolo3, as Roboflow exports them: `path x1,y1,x2,y2,class x1,y1,x2,y2,class`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.class_lists import (
    check_distinct_names,
    check_named_numbers,
    count_from_first,
    is_comment,
)
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import (
    format_relative_path,
    is_file,
    iterate_files,
    list_files,
    list_images,
    list_subfolders,
    read_head,
)
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_text
from pipeline.source.reading.shapes import Shape, build_box, remove_blanks
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "text files of image x1,y1,x2,y2,class x1,y1,x2,y2,class ..."

_CLASS_FILES: Final = frozenset(
    {"_classes.txt", "classes.txt", "class_names.txt", "obj.names", "model_classes.txt"}
)
_BOX: Final = re.compile(r"-?\d[\d.eE+-]*(?:,-?\d[\d.eE+-]*){3},\d+")
_USUAL_NAMES: Final = (
    *(
        "_annotations.txt",
        "annotations.txt",
        "annotation.txt",
        "train.txt",
        "val.txt",
        "valid.txt",
        "test.txt",
    ),
)
_NUMBERED: Final = "class_"
_MAX_DIGITS: Final = 6
_MAX_FILES: Final = 30
_MAX_FOLDERS: Final = 20
_MAX_CHECKED_LINES: Final = 20


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of text files at the top, in its subfolders, and of a few others."""
    places = [folder, *list_subfolders(folder)[:_MAX_FOLDERS]]
    texts = [place / name for place in places for name in _USUAL_NAMES if is_file(place / name)]
    texts += islice(iterate_files(folder, ".txt"), _MAX_FILES)
    return any(_is_list(read_head(text).decode("utf-8-sig", "replace")) for text in texts)


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read the lists of a dataset.

    Raises:
        UserError: There is no such list, or no image of one.
    """
    names = count_from_first(_read_class_names(folder), options.first_class)
    check_distinct_names(names.values(), folder)
    lists = [(path, text) for path in list_files(folder, ".txt") if (text := _load_list(path))]
    if not lists:
        raise UserError(f"no keras-yolo lists in {folder}: expected {RECOGNIZED_BY}")
    _check_class_numbers((text for _, text in lists), names, folder, options)
    entries = [entry for path, text in lists for entry in _read_list(path, text, names)]
    labels = {item.label for entry in entries for item in entry.objects}
    named = dict.fromkeys(map(remove_blanks, names.values()))
    unnamed = sorted(labels - {*named}, key=lambda label: int(label.removeprefix(_NUMBERED)))
    remarks = [f"classes without a name are called by number: {', '.join(unnamed)}"] if unnamed else []
    order = (*named, *unnamed)
    layout = MatchingOptions(ImageIndex(list_images(folder)), class_order=order)
    source = assemble_source(folder, entries, layout, remarks)
    return read_boxes_as_stated(source, "corners", options.labels)


def _check_class_numbers(
    texts: Iterable[str], names: Mapping[int, str], folder: Path, options: ReadOptions
) -> None:
    boxes = (box for text in texts for line in text.splitlines() for box in _split_line(line)[1])
    numbers = (box.rpartition(",")[2] for box in boxes if _BOX.fullmatch(box))
    used = Counter(int(number) for number in numbers if len(number) <= _MAX_DIGITS)
    check_named_numbers(used, names, options.first_class, folder)


def _load_list(path: Path) -> str:
    """Return the text of a list; empty if the file is none."""
    if not _is_list(read_head(path).decode("utf-8-sig", "replace")):
        return ""
    try:
        return load_text(path)[0]
    except UnreadableFileError:
        return ""


def _is_list(text: str) -> bool:
    """Check for an image and a box in one of the first lines."""
    lines = text.splitlines()[:_MAX_CHECKED_LINES]
    return any(name and boxes for name, boxes in map(_split_line, lines))


def _split_line(line: str) -> tuple[str, list[str]]:
    """Split a line into the path of an image, which may contain blanks, and boxes; no path if it has none."""
    fields = line.strip().split(" ")
    boxes: list[str] = []
    while len(fields) > 1 and (not fields[-1] or Path(" ".join(fields)).suffix.lower() not in IMAGE_SUFFIXES):
        boxes.insert(0, fields.pop())
    name = " ".join(fields)
    boxes = [box for box in boxes if box]
    is_image = Path(name).suffix.lower() in IMAGE_SUFFIXES
    return (name, boxes) if is_image and (not boxes or _BOX.fullmatch(boxes[0])) else ("", [])


def _read_list(path: Path, text: str, names: Mapping[int, str]) -> Iterator[ImageAnnotations]:
    """Yield the annotations of each line; an image without boxes is background."""
    for number, line in enumerate(text.splitlines(), 1):
        name, boxes = _split_line(line)
        if name:
            marked = [(f"line {number}, box {place}", box) for place, box in enumerate(boxes, 1)]
            objects, notes = collect_objects(marked, partial(_parse_box, names=names))
            yield ImageAnnotations(path, (name,), objects, notes)


def _parse_box(text: str, names: Mapping[int, str]) -> tuple[str, Shape]:
    """Return the class and the box; raise ValueError if there is none."""
    if not _BOX.fullmatch(text):
        raise ValueError(f"not x1,y1,x2,y2,class: {text[:60]!r}")
    *box, number = text.split(",")
    if len(number) > _MAX_DIGITS:
        raise ValueError(f"no class number: {number[:20]}")
    return names.get(int(number), f"{_NUMBERED}{int(number)}"), build_box(box)


def _read_class_names(folder: Path) -> dict[int, str]:
    """Read the class names, one per line.

    Raises:
        UserError: Two files name them differently.
    """
    found: dict[str, list[str]] = {}
    for path in list_files(folder, ".txt", ".names"):
        if path.name.lower() in _CLASS_FILES:
            text = load_text(path)[0]
            lines = [line for line in text.splitlines() if line.strip() and not is_comment(line)]
            found[format_relative_path(path, folder)] = lines
    lists = list(found.items())
    for file, lines in lists[1:]:
        if [*map(remove_blanks, lines)] != [*map(remove_blanks, lists[0][1])]:
            raise UserError(
                f"{lists[0][0]} ({', '.join(lists[0][1][:5])}) and {file} ({', '.join(lines[:5])}) name the "
                "classes differently: correct or remove one of them"
            )
    return dict(enumerate(lists[0][1])) if lists else {}
