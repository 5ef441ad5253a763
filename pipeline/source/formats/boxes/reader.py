"""Read text files of boxes in pixels, one per image, a line per object.

`x1 y1 x2 y2 class`, as in DeepPCB, or `class x1 y1 x2 y2`: what the columns hold is inferred from all lines.
Images may come in pairs: NAME_test.jpg with the boxes, and NAME_temp.jpg, a template without defects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.boxes.lines import (
    count_class_numbers,
    has_score,
    infer_order,
    is_box_line,
    parse_line,
    parse_numbers,
)
from pipeline.source.formats.yolo.data_yaml import has_data_yaml
from pipeline.source.plausibility.box_meaning import refuse_misread_boxes
from pipeline.source.plausibility.column_order import ColumnOrder
from pipeline.source.plausibility.predictions import PREDICTIONS_ADVICE, is_named_like_predictions
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.class_lists import (
    CLASS_LIST_FILES,
    check_distinct_names,
    check_named_numbers,
    count_from_first,
    find_class_names,
)
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import format_relative_path, list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions, list_entry_paths
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    describe_unusable_annotation,
    format_file_name,
    load_text,
    read_first_lines,
)
from pipeline.source.split_lists import SplitList, SplitLists
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    ReadOptions,
    Source,
    find_split_in_name,
)

RECOGNIZED_BY: Final = "text files of x1 y1 x2 y2 class in pixels"

_READABLE_ORDERS: Final = {"class_last", "class_first"}

_TEST_SUFFIX, _TEMPLATE_SUFFIX = "_test", "_temp"
_NUMBERED_CLASS: Final = re.compile(r"^class_(\d+)$")


def matches_folder(folder: Path) -> bool:
    """Look for lines of two corners and a class in the first text files; YOLO's numbers are below one."""
    if has_data_yaml(folder):
        return False
    return infer_order(read_first_lines(folder, ".txt"), {}) in _READABLE_ORDERS


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read text files of boxes.

    Raises:
        UserError: No file has an image, or the lines may mean several things.
    """
    image_index = ImageIndex(list_images(folder))
    texts = list_files(folder, ".txt", ".names")
    lists = [path for path in texts if _is_image_list(path)]
    names = count_from_first(find_class_names(texts, keep_blanks=True), options.first_class)
    check_distinct_names(names.values(), folder)
    files = [
        _load_box_file(path)
        for path in texts
        if path not in lists and path.name.lower() not in CLASS_LIST_FILES
    ]
    files, remarks = _drop_predictions(files, folder, options)
    order = _choose_order(files, names, options)
    if names:
        used = count_class_numbers((line for file in files for _, line in file.lines), order)
        check_named_numbers(used, names, options.first_class, folder)
    entries = [entry for file in files if (entry := _read_file(file, image_index, names, order))]
    entries, list_remarks = _apply_image_lists(lists, entries, image_index, folder)
    remarks += list_remarks
    if order == "class_first":
        remarks.append("each line is read as class x1 y1 x2 y2, in pixels")
    remarks += _describe_unnamed(entries, names)
    layout = MatchingOptions(
        image_index,
        one_file_per_image=True,
        class_order=_numbered_class_order(entries),
        unused_images=_find_templates(image_index),
    )
    source = assemble_source(folder, entries, layout, remarks)
    return refuse_misread_boxes(source, "corners", options.labels)


def _describe_unnamed(entries: Sequence[ImageAnnotations], names: Mapping[int, str]) -> list[str]:
    labels = {item.label for entry in entries for item in entry.objects}
    unnamed = sorted(label for label in labels - {*names.values()} if _NUMBERED_CLASS.match(label))
    if unnamed and names:
        return [f"classes without a name are called by number: {', '.join(unnamed)}"]
    told = "the source names no classes: they are called by their numbers (data.classes renames them)"
    return [told] if unnamed else []


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


def _drop_predictions(
    files: Sequence[BoxFile], folder: Path, options: ReadOptions
) -> tuple[list[BoxFile], list[str]]:
    """Leave out the files of a model: with a score in each line, or named so beside those of the same images.

    Raises:
        UserError: There are no others.
    """
    scored = {file.path for file in files if file.lines and all(has_score(line) for _, line in file.lines)}
    plain = {
        file.path.stem
        for file in files
        if file.path not in scored and not _is_in_predictions(file.path, folder)
    }
    named = {file.path for file in files if _is_in_predictions(file.path, folder) and file.path.stem in plain}
    predicted = [file for file in files if file.path in scored or file.path in named]
    if not predicted or options.predictions == "labels":
        return list(files), ["model output (boxes with a score) is read as labels"] if scored else []
    kept = [file for file in files if file not in predicted]
    if not any(file.lines for file in kept):
        raise UserError(
            f"every line of {predicted[0].path} has a score: that is model output, not labels; add the "
            "labels, or set data.predictions=labels to train on it"
        )
    places = sorted({format_relative_path(file.path.parent, folder) for file in predicted})
    count = format_count(len(predicted), "file")
    return kept, [
        f"model output, not labels: {count} in {', '.join(places)}: left aside ({PREDICTIONS_ADVICE})"
    ]


def _is_in_predictions(path: Path, folder: Path) -> bool:
    return any(map(is_named_like_predictions, path.parent.relative_to(folder).parts))


def _choose_order(files: Sequence[BoxFile], names: Mapping[int, str], options: ReadOptions) -> ColumnOrder:
    """Choose the order of the columns.

    Raises:
        UserError: The lines may mean several things, or are YOLO labels in pixels.
    """
    if options.labels == "pixel_corners":
        return "class_first"
    order = infer_order((line for file in files for _, line in file.lines), names)
    has_words = not any(parse_numbers(line) for file in files for _, line in file.lines)
    if options.labels != "auto" and not (options.labels == "pixels" and has_words):
        raise UserError(f"data.labels={options.labels} is for YOLO labels: set data.format=yolo")
    if order == "centers":
        raise UserError(
            "the lines look like class x y width height in pixels, not like boxes with two corners: "
            "set data.format=yolo and data.labels=pixels"
        )
    if order == "unclear" and any(parse_numbers(line) for file in files for _, line in file.lines):
        raise UserError(
            "the lines can mean x1 y1 x2 y2 class as well as class x1 y1 x2 y2: for the second, set "
            "data.labels=pixel_corners; for the first, add a classes.txt with a line `number: name` per class"
        )
    return "class_last" if order == "unclear" else order


def _read_file(
    file: BoxFile, image_index: ImageIndex, names: dict[int, str], order: ColumnOrder
) -> ImageAnnotations | None:
    """Read one file; return None if it is another kind of text."""
    path = file.path
    image_names = (path.stem + _TEST_SUFFIX, path.stem)
    if file.fault:
        return ImageAnnotations(path, image_names, fault=file.fault)
    if (
        not any(is_box_line(line, order) for _, line in file.lines)
        and not image_index.find(image_names, near=path.parent).image
    ):
        return None
    parsed = collect_objects(file.lines, lambda line: parse_line(line, names, order))
    return ImageAnnotations(path, image_names, *parsed)


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
    lists: Sequence[Path], entries: Sequence[ImageAnnotations], image_index: ImageIndex, folder: Path
) -> tuple[list[ImageAnnotations], list[str]]:
    """Assign the splits that lists of images state; `trainval` is train where there is no such list.

    A list names the image of an annotation file, or the file, or both. If several have that name, the
    folders decide.
    """
    rows = {path: _read_image_list(path) for path in lists}
    splits = {path: find_split_in_name(path.stem) for path in lists}
    has_train = "train" in splits.values()
    named = SplitLists(
        folder,
        [
            SplitList(path, split or "train", rows[path])
            for path, split in splits.items()
            if split or not has_train
        ],
    )
    names = [list_entry_paths(entry, image_index, folder) if lists else [] for entry in entries]
    known = {name.rpartition("/")[2] for listed in names for name in listed}
    assigned = [
        entry._replace(split=split) for entry, split in zip(entries, named.find_splits(names), strict=True)
    ]
    missing = {
        row[0] for listed in rows.values() for row in listed if PurePosixPath(row[0]).stem not in known
    }
    list_names = ", ".join(format_file_name(path) for path in lists)
    number = format_count(len(missing), "image")
    remarks = [f"{list_names}: {number} named there, but not here"] if missing else []
    return assigned, [*remarks, *named.list_remarks()]


def _read_image_list(path: Path) -> list[list[str]]:
    """Return the paths that each line states: that of the image, and perhaps that of its annotation file."""
    rows = [line.replace("\\", "/").split() for line in load_text(path)[0].splitlines() if line.strip()]
    suffixes = {".txt", *IMAGE_SUFFIXES}
    return [
        [first, *(other.removesuffix(".txt") for other in others if PurePosixPath(other).suffix in suffixes)]
        for first, *others in rows
    ]


def _find_templates(image_index: ImageIndex) -> dict[Path, str]:
    """Return the template images, each with the reason why it is not used."""
    templates = [path for path in image_index.images if path.stem.endswith(_TEMPLATE_SUFFIX)]
    tested = {
        path: f"{path.stem.removesuffix(_TEMPLATE_SUFFIX)}{_TEST_SUFFIX}{path.suffix}" for path in templates
    }
    return {path: f"a template: {name} without its faults" for path, name in tested.items()}
