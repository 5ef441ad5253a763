"""Text files of boxes in pixels, one per image, a line per object: `x1 y1 x2 y2 class`, as in DeepPCB.

Images may come in pairs: NAME_test.jpg, which the boxes are on, and NAME_temp.jpg, the same without a fault.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.core.text import format_count
from pipeline.source.reading import class_lists, shapes
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.class_lists import FILES
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import SUFFIXES, images_in
from pipeline.source.reading.image_index import ImageIndex, common
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    files,
    first_lines,
    load_text,
    own_name,
    unusable,
)
from pipeline.source.reading.shapes import Shape
from pipeline.source.types import Source, held_out, split_of

LOOKED_FOR: Final = "text files of x1 y1 x2 y2 class in pixels"

_TESTED, _TEMPLATE = "_test", "_temp"
_NUMBERED: Final = re.compile(r"^class_(\d+)$")


def recognises(folder: Path) -> bool:
    """Look for a line of two corners and a class in the first text files; YOLO's numbers are below one."""
    return any(map(_is_object, first_lines(folder, ".txt")))


def read(folder: Path) -> Source:
    """Read text files of boxes.

    Raises:
        Refused: No file has an image.
    """
    pictures = ImageIndex(images_in(folder))
    texts = files(folder, ".txt", ".names")
    lists = [path for path in texts if _is_list(path)]
    names = class_lists.find(texts)
    annotations = [path for path in texts if path not in lists and path.name.lower() not in FILES]
    entries = [entry for path in annotations if (entry := _entry(path, pictures, names))]
    entries, remarks = _divided(lists, entries)
    unnamed = any(_NUMBERED.match(item.label) for entry in entries for item in entry.objects)
    remarks += [
        "the source names no classes: they are called by their numbers (data.classes renames them)"
    ] * unnamed
    layout = MatchingOptions(pictures, each=True, order=_order(entries), spare=_templates(pictures))
    return gather(folder, entries, layout, remarks)


def _entry(path: Path, pictures: ImageIndex, names: dict[int, str]) -> ImageAnnotations | None:
    """Read one file; nothing where it is another kind of text."""
    asked = (path.stem + _TESTED, path.stem)
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, asked, fault=unusable(path, error))
    lines = [(f"line {number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not any(_is_object(line) for _, line in lines) and not pictures.find(asked, near=path.parent).image:
        return None
    return ImageAnnotations(path, asked, *collect(lines, lambda line: _draw(line, names)))


def _fields(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _is_object(line: str) -> bool:
    """Tell a box in pixels: two corners in order, beyond the shares that YOLO counts in."""
    fields = _fields(line)
    try:
        x1, y1, x2, y2 = map(float, fields[:4])
    except ValueError:
        return False
    return len(fields) == 5 and x2 > max(x1, 1) and y2 > max(y1, 1) and min(x1, y1) >= 0


def _draw(line: str, names: dict[int, str]) -> tuple[str, Shape]:
    fields = _fields(line)
    if len(fields) != 5:
        raise ValueError(f"not x1 y1 x2 y2 and a class: {line.strip()[:60]!r}")
    return _label(fields[4], names), shapes.box(fields[:4])


def _label(text: str, names: dict[int, str]) -> str:
    if not text.isdecimal() or len(text) > 6:
        return shapes.named(text)
    return names.get(int(text), f"class_{int(text)}")


def _order(entries: Sequence[ImageAnnotations]) -> tuple[str, ...]:
    """Sort classes that are called by their numbers by these: 10 after 9."""
    labels = {item.label for entry in entries for item in entry.objects}
    numbered = {label: int(found[1]) for label in labels if (found := _NUMBERED.match(label))}
    return tuple(sorted(numbered, key=lambda label: numbered[label]))


def _is_list(path: Path) -> bool:
    """Tell a list of images: the first line names one."""
    if not (split_of(path.stem) or path.stem.lower() == "trainval"):
        return False
    try:
        first = next(iter(load_text(path)[0].split()), "")
    except UnreadableFileError:
        return False
    return PurePosixPath(first).suffix.lower() in SUFFIXES


def _divided(
    lists: Sequence[Path], entries: Sequence[ImageAnnotations]
) -> tuple[list[ImageAnnotations], list[str]]:
    """Read which split each annotation is in; a list of train and val together is train.

    A list names the annotation or its image. Where several bear the name, the path tells them apart.
    """
    by_stem: dict[str, list[ImageAnnotations]] = defaultdict(list)
    for entry in entries:
        by_stem[entry.file.stem].append(entry)
    claims: dict[Path, set[str]] = defaultdict(set)
    missing = set()
    for path in lists:
        for line in load_text(path)[0].splitlines():
            meant = _meant(line.split(), by_stem)
            missing |= {line.split()[0]} if line.split() and not meant else set()
            for entry in meant:
                claims[entry.file].add(split_of(path.stem) or "train")
    told = ", ".join(own_name(path) for path in lists)
    divided = [entry._replace(split=held_out(claims[entry.file])) for entry in entries]
    return divided, [
        f"{told}: {format_count(len(missing), 'image')} named there, but not here"
    ] if missing else []


def _meant(names: Sequence[str], by_stem: Mapping[str, Sequence[ImageAnnotations]]) -> list[ImageAnnotations]:
    """Find the annotations that a line means: of those that bear its name, the most alike in folders."""
    named = [PurePosixPath(name.replace("\\", "/")) for name in names]
    alike = by_stem.get(named[0].stem, ()) if named else ()
    tails = [
        max(common(reversed(entry.file.parent.parts), reversed(name.parts[:-1])) for name in named)
        for entry in alike
    ]
    most = max(tails, default=0)
    return [entry for entry, tail in zip(alike, tails, strict=True) if tail == most]


def _templates(pictures: ImageIndex) -> dict[Path, str]:
    """Name the images that only show how a tested one would be without fault."""
    return {
        path: f"a template: {path.stem.removesuffix(_TEMPLATE)}{_TESTED}{path.suffix} without its faults"
        for path in pictures.all
        if path.stem.endswith(_TEMPLATE)
    }
