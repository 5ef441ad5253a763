"""Read MOTChallenge: per sequence a folder of frames (img1/) and gt/gt.txt, a line per object and frame.

A line is `frame,track,left,top,width,height,consider,class,visibility`. Frames are read as images.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.mot.lines import (
    MOT_NAMES,
    MotLine,
    find_tenth_column_class,
    parse_line,
    read_class_names,
    read_sequence_info,
)
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.class_lists import check_distinct_names
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import (
    format_relative_path,
    is_file,
    iterate_files,
    list_files,
    list_images,
)
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_text
from pipeline.source.reading.shapes import Shape, build_box
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "folders of frames with gt/gt.txt, text files of frame,track,left,top,width,height,..."

_MAX_CHECKED_FILES: Final = 20


class MotSequence(NamedTuple):
    """One sequence.

    Attributes:
        gt: Its gt.txt.
        lines: The lines of gt.txt that are objects, each with its name in reports.
        faulty: Notes on the other lines, by number of the frame; 0 if that is unknown.
        frames: The frames by number.
        names: Class names, the first one for class 1.
        offset: The coordinate of the first pixel: 1 for MOTChallenge, 0 for the exports of CVAT.
        size: Width and height of a frame in pixels, if stated.
    """

    gt: Path
    lines: Sequence[tuple[str, MotLine]]
    faulty: Mapping[int, Sequence[AnnotationNote]]
    frames: Mapping[int, Path]
    names: tuple[str, ...]
    offset: int
    size: tuple[int, int] | None


def matches_folder(folder: Path) -> bool:
    """Look for gt/gt.txt beside a folder of frames or seqinfo.ini."""
    found = (path for path in iterate_files(folder, "gt.txt") if _is_ground_truth(path))
    return any(True for _ in islice(found, _MAX_CHECKED_FILES))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read the sequences of a MOTChallenge dataset.

    Raises:
        UserError: There is no sequence with ground truth, one cannot be read, none has frames, or classes are
            not those of MOTChallenge.
    """
    files = [path for path in list_files(folder, "gt.txt") if _is_ground_truth(path)]
    if not files:
        raise UserError(f"no sequences of MOTChallenge in {folder}: expected {RECOGNIZED_BY}")
    images = list_images(folder)
    frames = _group_by_folder(images)
    copies = _find_copies(files, folder)
    sequences = [_read_sequence(path, frames) for path in files if path not in copies]
    zero_remarks = _check_class_zero(sequences)
    entries = [entry for sequence in sequences for entry in _list_entries(sequence, folder)]
    repeated = {image for path in copies for image in frames.get(_get_image_folder(path), {}).values()}
    kept = [image for image in images if image not in repeated]
    layout = MatchingOptions(ImageIndex(kept), class_order=_order_classes(entries))
    remarks = [*_describe_sequences(sequences), *zero_remarks, *_describe_copies(copies, folder)]
    source = assemble_source(folder, entries, layout, remarks)
    return read_boxes_as_stated(source, "extent", options.labels)


def _is_ground_truth(path: Path) -> bool:
    """Check for gt/gt.txt of a sequence; det/det.txt holds what a model has found."""
    if path.name.lower() != "gt.txt" or path.parent.name.lower() != "gt":
        return False
    sequence = path.parent.parent
    return is_file(sequence / "seqinfo.ini") or (sequence / "img1").is_dir()


def _get_image_folder(gt: Path) -> Path:
    return gt.parent.parent / read_sequence_info(gt.parent.parent).images


def _group_by_folder(images: Sequence[Path]) -> dict[Path, dict[int, Path]]:
    """Return the frames of each folder by number: only images of the source, wherever seqinfo.ini points."""
    found: dict[Path, dict[int, Path]] = defaultdict(dict)
    for image in images:
        if image.stem.isdecimal() and len(image.stem) < 10:
            found[image.parent][int(image.stem)] = image
    return found


def _find_copies(files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """Find sequences with the objects of another: MOT17 has each one three times, for three detectors.

    Returns:
        The name of the sequence that is read, by the gt.txt that is not.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in files:
        by_size[path.stat().st_size].append(path)
    copies = {}
    for same in by_size.values():
        first: dict[tuple[str, str], Path] = {}
        for path in same if len(same) > 1 else ():
            sequence = path.parent.parent
            key = _load_text(path), sequence.name.rpartition("-")[0]
            if key[0].strip() and key[1] and key in first:
                copies[path] = format_relative_path(first[key].parent.parent, folder)
            first.setdefault(key, path)
    return copies


def _load_text(path: Path) -> str:
    try:
        return load_text(path)[0]
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None


def _read_sequence(gt: Path, frames: Mapping[Path, Mapping[int, Path]]) -> MotSequence:
    faulty: dict[int, list[AnnotationNote]] = defaultdict(list)
    lines = []
    texts = _load_text(gt).splitlines()
    if (stated := find_tenth_column_class(texts)) is not None:
        raise UserError(
            f"{gt} has lines of ten numbers as MOT15, but the eighth is a class, such as class {stated}: "
            "keep the first eight numbers of each line, and name the classes in gt/labels.txt, the first for "
            "class 1"
        )
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        mark = f"line {number}"
        try:
            lines.append((mark, parse_line(text)))
        except ValueError as error:
            first = text.partition(",")[0].strip()
            frame = int(first) if first.isdecimal() and len(first) < 10 else 0
            faulty[frame].append(AnnotationNote(True, f"{mark}: {error}", "malformed"))
    info, names = read_sequence_info(gt.parent.parent), read_class_names(gt)
    check_distinct_names(names, gt.with_name("labels.txt"))
    shown = frames.get(gt.parent.parent / info.images, {})
    return MotSequence(gt, lines, faulty, shown, names or MOT_NAMES, 0 if names else 1, info.size)


def _check_class_zero(sequences: Sequence[MotSequence]) -> list[str]:
    """Refuse class 0 beside other classes; alone it is taken for class 1, with a remark.

    Raises:
        UserError: Objects have class 0 and others.
    """
    used: dict[int, MotSequence] = {}
    for sequence in sequences:
        for _, line in sequence.lines:
            if line.is_considered:
                used.setdefault(line.class_number, sequence)
    if 0 not in used:
        return []
    first = used[0].names[0].strip()
    if len(used) > 1:
        raise UserError(
            f"{used[0].gt} has objects of class 0, and there are others of class {max(used)}: MOTChallenge "
            f"counts classes from 1 ({first}); add one to each class number"
        )
    return [
        f"all objects have class 0, which MOTChallenge does not have: they are taken for class 1, {first}"
    ]


def _list_entries(sequence: MotSequence, folder: Path) -> list[ImageAnnotations]:
    """Return an entry for each frame; a frame that no line names has no objects."""
    by_frame: dict[int, list[tuple[str, MotLine]]] = defaultdict(list)
    for mark, line in sequence.lines:
        by_frame[line.frame].append((mark, line))
    numbers = sorted({*sequence.frames, *by_frame, *sequence.faulty})
    return [_build_entry(sequence, number, by_frame.get(number, ()), folder) for number in numbers]


def _build_entry(
    sequence: MotSequence, number: int, lines: Sequence[tuple[str, MotLine]], folder: Path
) -> ImageAnnotations:
    image, faulty = sequence.frames.get(number), sequence.faulty.get(number, ())
    group = format_relative_path(sequence.gt.parent.parent, folder)
    name = f"{group}, frame {number}" if image is None else format_relative_path(image, folder)
    considered = [(mark, line) for mark, line in lines if line.is_considered]
    objects, notes = collect_objects(considered, lambda line: _build_object(line, sequence))
    return ImageAnnotations(
        sequence.gt,
        (name,),
        objects,
        (*faulty, *notes),
        size=sequence.size,
        fault=faulty[0].reason if faulty and image is None else "",
        columns={"sequence": group},
    )


def _build_object(line: MotLine, sequence: MotSequence) -> tuple[str, Shape]:
    if line.class_index >= len(sequence.names):
        raise ValueError(f"class {line.class_number} has no name")
    left, top, width, height = line.box
    x, y = left - sequence.offset, top - sequence.offset
    return sequence.names[line.class_index], build_box((x, y, x + width, y + height))


def _order_classes(entries: Sequence[ImageAnnotations]) -> tuple[str, ...]:
    used = {item.label for entry in entries for item in entry.objects}
    return tuple(name for name in MOT_NAMES if name in used)


def _describe_sequences(sequences: Sequence[MotSequence]) -> list[str]:
    """Say how the lines are read, and how the frames of a sequence stay together."""
    remarks = [
        f"{format_count(len(sequences), 'sequence')} of frames: data.group_by=column:sequence keeps the "
        "frames of each in one split"
    ]
    lines = [(sequence, line) for sequence in sequences for _, line in sequence.lines]
    ignored = Counter(_name_class(line, sequence) for sequence, line in lines if not line.is_considered)
    if ignored:
        listed = ", ".join(f"{number} {name}" for name, number in sorted(ignored.items()))
        remarks.append(f"{listed}: left out, since gt.txt flags them as not considered; the frames are used")
    hidden = sum(line.is_hidden and line.is_considered for _, line in lines)
    if hidden:
        boxes = format_count(hidden, "box has", "boxes have")
        remarks.append(f"{boxes} visibility 0: objects that cannot be seen are used as any other")
    if any(sequence.offset for sequence in sequences):
        remarks.append(
            "pixels are counted from 1, as MOTChallenge does: boxes are moved by one to count from 0"
        )
    return remarks


def _name_class(line: MotLine, sequence: MotSequence) -> str:
    is_named = line.class_index < len(sequence.names)
    return sequence.names[line.class_index].strip() if is_named else f"class {line.class_number}"


def _describe_copies(copies: Mapping[Path, str], folder: Path) -> list[str]:
    if not copies:
        return []
    named = ", ".join(format_relative_path(path.parent.parent, folder) for path in copies)
    originals = ", ".join(sorted(set(copies.values())))
    return [f"{named}: the same frames and objects as {originals} once more: left out"]
