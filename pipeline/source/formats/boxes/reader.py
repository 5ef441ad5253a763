"""Read text files of boxes in pixels, one per image, a line per object: `x1 y1 x2 y2 class`, as in DeepPCB.

Images may come in pairs: NAME_test.jpg with the boxes, and NAME_temp.jpg, a template without defects.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.core.text import format_count
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

_TEST_SUFFIX, _TEMPLATE_SUFFIX = "_test", "_temp"
_NUMBERED_CLASS: Final = re.compile(r"^class_(\d+)$")


def matches_folder(folder: Path) -> bool:
    """Look for a line of two corners and a class in the first text files; YOLO's numbers are below one."""
    return any(map(_is_box_line, read_first_lines(folder, ".txt")))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read text files of boxes.

    Raises:
        UserError: No file has an image.
    """
    image_index = ImageIndex(list_images(folder))
    texts = list_files(folder, ".txt", ".names")
    lists = [path for path in texts if _is_image_list(path)]
    names = find_class_names(texts)
    annotations = [path for path in texts if path not in lists and path.name.lower() not in CLASS_LIST_FILES]
    entries = [entry for path in annotations if (entry := _read_file(path, image_index, names))]
    entries, remarks = _apply_image_lists(lists, entries)
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


def _read_file(path: Path, image_index: ImageIndex, names: dict[int, str]) -> ImageAnnotations | None:
    """Read one file; return None if it is another kind of text."""
    image_names = (path.stem + _TEST_SUFFIX, path.stem)
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, image_names, fault=describe_unusable_annotation(path, error))
    lines = [(f"line {number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if (
        not any(_is_box_line(line) for _, line in lines)
        and not image_index.find(image_names, near=path.parent).image
    ):
        return None
    return ImageAnnotations(path, image_names, *collect_objects(lines, lambda line: _parse_line(line, names)))


def _split_line(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _is_box_line(line: str) -> bool:
    """Check for a box in pixels: two ordered corners, with coordinates above YOLO's range of 0 to 1."""
    fields = _split_line(line)
    try:
        x1, y1, x2, y2 = map(float, fields[:4])
    except ValueError:
        return False
    return len(fields) == 5 and x2 > max(x1, 1) and y2 > max(y1, 1) and min(x1, y1) >= 0


def _parse_line(line: str, names: dict[int, str]) -> tuple[str, Shape]:
    fields = _split_line(line)
    if len(fields) != 5:
        raise ValueError(f"not x1 y1 x2 y2 and a class: {line.strip()[:60]!r}")
    return _class_name(fields[4], names), build_box(fields[:4])


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
