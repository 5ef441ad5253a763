"""Read text files of boxes in pixels, one per image, a line per object.

`x1 y1 x2 y2 class`, as in DeepPCB, or `class x1 y1 x2 y2`: what the columns hold is inferred from all lines.
Images may come in pairs: NAME_test.jpg with the boxes, and NAME_temp.jpg, a template without defects.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.data_yaml import has_data_yaml
from pipeline.source.plausibility.column_order import ColumnOrder, infer_column_order
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.class_lists import CLASS_LIST_FILES, find_class_names
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import IMAGE_SUFFIXES, list_files, list_images
from pipeline.source.reading.image_index import ImageIndex, count_common_parts
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    describe_unusable_annotation,
    format_file_name,
    load_text,
    read_first_lines,
)
from pipeline.source.reading.shapes import Shape, build_box, parse_class_name
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    ReadOptions,
    Source,
    choose_held_out_split,
    find_split_in_name,
)

RECOGNIZED_BY: Final = "text files of x1 y1 x2 y2 class in pixels"

_FIELDS: Final = 5
_READABLE_ORDERS: Final = {"class_last", "class_first"}

_TEST_SUFFIX, _TEMPLATE_SUFFIX = "_test", "_temp"
_NUMBERED_CLASS: Final = re.compile(r"^class_(\d+)$")


def matches_folder(folder: Path) -> bool:
    """Look for lines of two corners and a class in the first text files; YOLO's numbers are below one."""
    if has_data_yaml(folder):
        return False
    return _infer_order(read_first_lines(folder, ".txt"), {}) in _READABLE_ORDERS


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read text files of boxes.

    Raises:
        UserError: No file has an image, or the lines may mean several things.
    """
    image_index = ImageIndex(list_images(folder))
    texts = list_files(folder, ".txt", ".names")
    lists = [path for path in texts if _is_image_list(path)]
    names = find_class_names(texts, keep_blanks=True)
    files = [
        _load_box_file(path)
        for path in texts
        if path not in lists and path.name.lower() not in CLASS_LIST_FILES
    ]
    order = _choose_order(files, names, options)
    entries = [entry for file in files if (entry := _read_file(file, image_index, names, order))]
    entries, remarks = _apply_image_lists(lists, entries)
    if order == "class_first":
        remarks.append("each line is read as class x1 y1 x2 y2, in pixels")
    unnamed = any(_NUMBERED_CLASS.match(item.label) for entry in entries for item in entry.objects)
    remarks += [
        "the source names no classes: they are called by their numbers (data.classes renames them)"
    ] * unnamed
    layout = MatchingOptions(
        image_index,
        one_file_per_image=True,
        class_order=_numbered_class_order(entries),
        unused_images=_find_templates(image_index),
    )
    return assemble_source(folder, entries, layout, remarks)


class BoxFile(NamedTuple):
    """A text file, perhaps of boxes.

    Attributes:
        path: The file.
        lines: Its lines that are not empty, with their names in reports.
        fault: Why it cannot be read.
    """

    path: Path
    lines: tuple[tuple[str, str], ...] = ()
    fault: str = ""


def _load_box_file(path: Path) -> BoxFile:
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return BoxFile(path, fault=describe_unusable_annotation(path, error))
    lines = [(f"line {number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return BoxFile(path, tuple(lines))


def _choose_order(files: Sequence[BoxFile], names: Mapping[int, str], options: ReadOptions) -> ColumnOrder:
    """Choose the order of the columns.

    Raises:
        UserError: The lines may mean several things, or are YOLO labels in pixels.
    """
    if options.labels == "pixel_corners":
        return "class_first"
    if options.labels != "auto":
        raise UserError(f"data.labels={options.labels} is for YOLO labels: set data.format=yolo")
    order = _infer_order((line for file in files for _, line in file.lines), names)
    if order == "centers":
        raise UserError(
            "the lines look like class x y width height in pixels, not like boxes with two corners: "
            "set data.format=yolo and data.labels=pixels"
        )
    if order == "unclear" and any(_parse_numbers(line) for file in files for _, line in file.lines):
        raise UserError(
            "the lines can mean x1 y1 x2 y2 class as well as class x1 y1 x2 y2: for the second, set "
            "data.labels=pixel_corners; for the first, add a classes.txt with a line `number: name` per class"
        )
    return "class_last" if order == "unclear" else order


def _infer_order(lines: Iterable[str], names: Mapping[int, str]) -> ColumnOrder:
    """Infer the order of the columns: a class may be a word; if it is a number, all lines decide.

    If both the first and the last number can be a class, the one that only takes the numbers of named
    classes is it.
    """
    fields = [row for line in lines if len(row := _split_line(line)) == _FIELDS]
    words = Counter(place for row in fields if (place := _find_word(row)) is not None)
    if words:
        return "class_first" if words[0] > words[_FIELDS - 1] else "class_last"
    numbers = [values for row in fields if (values := _parse_fields(row))]
    table = np.array(numbers, np.float64).reshape(-1, _FIELDS)
    table = table[(table[:, 1:4] > 1).any(axis=1)]
    order = infer_column_order(table)
    if order == "unclear" and names and len(table):
        first, last = (bool(np.isin(table[:, column], list(names)).all()) for column in (0, -1))
        return "unclear" if first == last else "class_first" if first else "class_last"
    return order


def _find_word(fields: Sequence[str]) -> int | None:
    """Return the place of the only field that is no number, if the others are a box in pixels."""
    for place, box in ((0, fields[1:]), (_FIELDS - 1, fields[:-1])):
        values = _parse_fields(box)
        if values and _parse_fields([fields[place]]) is None and _is_box(values):
            return place
    return None


def _parse_numbers(line: str) -> list[float] | None:
    fields = _split_line(line)
    return _parse_fields(fields) if len(fields) == _FIELDS else None


def _parse_fields(fields: Sequence[str]) -> list[float] | None:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _is_box(values: Sequence[float]) -> bool:
    """Check for a box in pixels: two ordered corners, with coordinates above YOLO's range of 0 to 1."""
    x1, y1, x2, y2 = values
    return x2 > max(x1, 1) and y2 > max(y1, 1) and min(x1, y1) >= 0


def _read_file(
    file: BoxFile, image_index: ImageIndex, names: dict[int, str], order: ColumnOrder
) -> ImageAnnotations | None:
    """Read one file; return None if it is another kind of text."""
    path = file.path
    image_names = (path.stem + _TEST_SUFFIX, path.stem)
    if file.fault:
        return ImageAnnotations(path, image_names, fault=file.fault)
    if (
        not any(_is_box_line(line, order) for _, line in file.lines)
        and not image_index.find(image_names, near=path.parent).image
    ):
        return None
    parsed = collect_objects(file.lines, lambda line: _parse_line(line, names, order))
    return ImageAnnotations(path, image_names, *parsed)


def _split_line(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _is_box_line(line: str, order: ColumnOrder) -> bool:
    fields = _split_line(line)
    values = _parse_fields(fields[1:] if order == "class_first" else fields[:-1])
    return len(fields) == _FIELDS and values is not None and _is_box(values)


def _parse_line(line: str, names: dict[int, str], order: ColumnOrder) -> tuple[str, Shape]:
    fields = _split_line(line)
    if len(fields) != _FIELDS:
        expected = "a class and x1 y1 x2 y2" if order == "class_first" else "x1 y1 x2 y2 and a class"
        raise ValueError(f"not {expected}: {line.strip()[:60]!r}")
    label, *box = fields if order == "class_first" else (fields[-1], *fields[:-1])
    return _class_name(label, names), build_box(box)


def _class_name(text: str, names: dict[int, str]) -> str:
    if not text.isdecimal() or len(text) > 6:
        return parse_class_name(text)
    return names.get(int(text), f"class_{int(text)}")


def _numbered_class_order(entries: Sequence[ImageAnnotations]) -> tuple[str, ...]:
    """Sort the classes that have only a number by that number: 10 after 9."""
    labels = {item.label for entry in entries for item in entry.objects}
    numbered = {label: int(found[1]) for label in labels if (found := _NUMBERED_CLASS.match(label))}
    return tuple(sorted(numbered, key=lambda label: numbered[label]))


def _is_image_list(path: Path) -> bool:
    """Check for a list of images: the name of a split, and an image in the first line."""
    if not (find_split_in_name(path.stem) or path.stem.lower() == "trainval"):
        return False
    try:
        first = next(iter(load_text(path)[0].split()), "")
    except UnreadableFileError:
        return False
    return PurePosixPath(first).suffix.lower() in IMAGE_SUFFIXES


def _apply_image_lists(
    lists: Sequence[Path], entries: Sequence[ImageAnnotations]
) -> tuple[list[ImageAnnotations], list[str]]:
    """Assign the splits that lists of images state; `trainval` is train.

    A list names the annotation file or its image. If several files have that name, the folders decide.
    """
    by_stem: dict[str, list[ImageAnnotations]] = defaultdict(list)
    for entry in entries:
        by_stem[entry.file.stem].append(entry)
    claims: dict[Path, set[str]] = defaultdict(set)
    missing = set()
    for path in lists:
        for line in load_text(path)[0].splitlines():
            listed = _find_listed(line.split(), by_stem)
            missing |= {line.split()[0]} if line.split() and not listed else set()
            for entry in listed:
                claims[entry.file].add(find_split_in_name(path.stem) or "train")
    list_names = ", ".join(format_file_name(path) for path in lists)
    assigned = [entry._replace(split=choose_held_out_split(claims[entry.file])) for entry in entries]
    return assigned, [
        f"{list_names}: {format_count(len(missing), 'image')} named there, but not here"
    ] if missing else []


def _find_listed(
    names: Sequence[str], by_stem: Mapping[str, Sequence[ImageAnnotations]]
) -> list[ImageAnnotations]:
    """Find the annotations that a line names: of those with its stem, the ones that share most folders."""
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    same_stem = by_stem.get(paths[0].stem, ()) if paths else ()
    common = [
        max(
            count_common_parts(reversed(entry.file.parent.parts), reversed(path.parts[:-1])) for path in paths
        )
        for entry in same_stem
    ]
    most = max(common, default=0)
    return [entry for entry, number in zip(same_stem, common, strict=True) if number == most]


def _find_templates(image_index: ImageIndex) -> dict[Path, str]:
    """Return the template images, each with the reason why it is not used."""
    templates = [path for path in image_index.images if path.stem.endswith(_TEMPLATE_SUFFIX)]
    tested = {
        path: f"{path.stem.removesuffix(_TEMPLATE_SUFFIX)}{_TEST_SUFFIX}{path.suffix}" for path in templates
    }
    return {path: f"a template: {name} without its faults" for path, name in tested.items()}
