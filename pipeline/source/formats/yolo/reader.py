"""Read YOLO datasets: a data.yaml in any of its forms, or images/ and labels/; all tasks but classify."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.source.formats.yolo.class_names import (
    ClassList,
    ClassNames,
    choose_class_names,
    read_class_lists,
)
from pipeline.source.formats.yolo.class_numbers import number_unnamed_classes, renumber_classes
from pipeline.source.formats.yolo.data_yaml import DataYaml, find_data_yaml, has_data_yaml, read_data_yaml
from pipeline.source.formats.yolo.folders import has_yolo_labels, read_yolo_folders
from pipeline.source.formats.yolo.label_doubts import (
    LabelTable,
    build_label_table,
    check_class_numbers,
    check_coordinates,
    describe_few_confidences,
    have_confidences,
)
from pipeline.source.formats.yolo.label_files import (
    YoloImage,
    describe_linked_labels,
    describe_shared_labels,
    describe_unread_labels,
    find_orphan_labels,
    read_image_labels,
)
from pipeline.source.formats.yolo.label_layout import infer_label_layout, refuse_unstated_poses
from pipeline.source.formats.yolo.label_lines import (
    LabelLayout,
    build_label_objects,
    collect_visibilities,
    drop_confidences,
)
from pipeline.source.formats.yolo.missing_files import explain_missing_images, explain_missing_labels
from pipeline.source.formats.yolo.track_output import refuse_tracks
from pipeline.source.plausibility.box_meaning import PERCENT
from pipeline.source.plausibility.predictions import check_visibilities
from pipeline.source.reading.class_selection import scale_objects
from pipeline.source.reading.file_tree import format_relative_path, list_images, sort_paths
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    AnnotatedImage,
    ReadOptions,
    Source,
    choose_held_out_split,
    choose_task_by_outlines,
)

RECOGNIZED_BY: Final = "data.yaml, or images with text files of `class x y w h`"

_MAX_LABEL_FOLDERS: Final = 50
_OUTLINE_TASKS: Final = frozenset({"segment", "obb"})
"""Values of data.task that say that the labels are outlines."""
_NO_OBJECTS: Final = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())


def matches_folder(folder: Path) -> bool:
    """Check for a data.yaml, or the first label files; a folder with labelTxt/ is DOTA."""
    if any(path.is_dir() for pattern in ("labelTxt", "*/labelTxt") for path in folder.glob(pattern)):
        return False
    return has_data_yaml(folder) or has_yolo_labels(folder)


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a YOLO dataset.

    Raises:
        UserError: data.yaml is unsafe or invalid, there are no images or no labels, the class names
            contradict each other, or the labels are probably not what `options` say.
    """
    file = options.file or find_data_yaml(folder)
    data = _read_description(folder, file, options)
    splits: dict[Path, tuple[str | None, ...]] = {}
    for split, images in data.splits.items():
        for image in dict.fromkeys(images):
            splits[image] = (*splits.get(image, ()), split)
    found = read_image_labels({image: splits[image] for image in sort_paths(splits)}, data.root)
    if not found:
        raise UserError(explain_missing_images(folder, data.missing, file))
    if all(item.is_unlabelled for item in found):
        listed = [item.image for item in found]
        raise UserError(explain_missing_labels(folder, listed, found[0].label))
    source = _build_source(data, found, folder, options)
    place = folder if data.root == folder else folder.resolve()  # names are relative to the root
    unlisted = _find_unlisted_images(found, place)
    orphans = find_orphan_labels(found, unlisted, place, data.root)
    unread = describe_unread_labels(found, place, data.root)
    remarks = (*source.remarks, *unread, *_warn_outside_source(found, folder))
    return source._replace(remarks=remarks, defects=(*orphans, *_report_unlisted_images(unlisted, data.root)))


def _read_description(folder: Path, file: Path | None, options: ReadOptions) -> DataYaml:
    if not file:
        return read_yolo_folders(folder)
    data = read_data_yaml(file, first_class=options.first_class)
    if data.splits:
        return data
    found = read_yolo_folders(data.root)
    return data._replace(splits=found.splits, remarks=(*data.remarks, *found.remarks))


def _build_source(data: DataYaml, found: list[YoloImage], folder: Path, options: ReadOptions) -> Source:
    layout, table = _interpret_labels(data, found, options)
    few = describe_few_confidences(table)
    if options.predictions == "labels" and (few or have_confidences(table)):
        found = [item._replace(lines=drop_confidences(item.lines)) if item.lines else item for item in found]
        (layout, table), few = _interpret_labels(data, found, options), ()
    labelled = [item for item in found if item.lines]
    classes = _check_labels(table, labelled, data, folder, options)
    visibilities = [
        (format_relative_path(item.label, data.root), collect_visibilities(item.lines, layout))
        for item in labelled
        if item.lines and layout.keypoints
    ]
    check_visibilities(visibilities, options.predictions, options.task)
    images = tuple(_build_image(item, layout, classes, data.root, options) for item in found)
    task, task_remarks = (layout.form, ()) if layout.form != "outlines" else choose_task_by_outlines(images)
    remarks = (
        *data.remarks,
        *layout.remarks,
        *few,
        *task_remarks,
        *classes.remarks,
        *describe_shared_labels(found, data.root),
        *describe_linked_labels(found, data.root),
    )
    return Source(classes.names, images, (), remarks, task, layout.keypoints)


def _interpret_labels(
    data: DataYaml, found: Sequence[YoloImage], options: ReadOptions
) -> tuple[LabelLayout, LabelTable]:
    lines = [item.lines for item in found if item.lines]
    if not data.keypoints and options.labels == "auto":
        refuse_tracks(lines)
    layout = infer_label_layout(lines, keypoints=data.keypoints, oriented=data.oriented)
    if layout.form == "outlines" and options.labels == "auto" and options.task not in _OUTLINE_TASKS:
        refuse_unstated_poses(lines)
    layout = layout._replace(corners=options.labels in {"corners", "pixel_corners"})
    return layout, build_label_table(lines, layout)


def _check_labels(
    table: LabelTable, labelled: Sequence[YoloImage], data: DataYaml, folder: Path, options: ReadOptions
) -> ClassNames:
    """Refuse labels that are probably read wrongly; return the classes.

    Raises:
        UserError: They are, or the files that name the classes contradict each other.
    """

    def describe(index: int) -> str:
        item = labelled[int(table.files[index])]
        numbers = [table.classes[index], *table.heads[index]]
        text = " ".join(f"{number:.6g}" for number in numbers)
        return f"{format_relative_path(item.label, data.root)}: {text}"

    check_coordinates(table, options, describe)
    used = set(np.unique(table.classes).tolist())
    label_folders = dict.fromkeys(item.label.parent for item in labelled)
    lists = _read_class_lists(data, folder, [*label_folders][:_MAX_LABEL_FOLDERS])
    classes = _choose_classes(data, lists, used, options)
    check_class_numbers(table, classes.numbers, options, describe)
    return classes if classes.names else number_unnamed_classes(used, data.class_count, options)


def _read_class_lists(data: DataYaml, folder: Path, label_folders: Sequence[Path]) -> list[ClassList]:
    root, source = data.root.resolve(), folder.resolve()
    places = dict.fromkeys([source, root] if root.is_relative_to(source) else [root])
    beside = [place.resolve() for place in label_folders]
    return [one for place in places for one in read_class_lists(place, beside)]


def _choose_classes(
    data: DataYaml, lists: list[ClassList], used: set[int], options: ReadOptions
) -> ClassNames:
    """Choose class names; lists without numbers count from 1 if data.first_class says so."""
    if str(options.first_class) == "1":
        lists = [one.count_from_one() for one in lists]
    unique = {(one.file, tuple(one.names.items())): one for one in lists}
    return choose_class_names([*([data.classes] if data.classes else []), *unique.values()], used)


def _build_image(
    found: YoloImage, layout: LabelLayout, classes: ClassNames, root: Path, options: ReadOptions
) -> AnnotatedImage:
    split = choose_held_out_split(found.splits)
    notes: tuple[AnnotationNote, ...] = ()
    if len(found.splits) > 1:
        listed = " and ".join(sorted(map(str, found.splits)))
        notes = (AnnotationNote(False, f"listed in {listed}: kept in {split} alone", "listed-twice"),)
    if found.label.name != f"{found.image.stem}.txt":
        notes = (*notes, AnnotationNote(False, f"its label file is called {found.label.name}"))
    raw, line_notes = build_label_objects(found.lines, layout) if found.lines else (_NO_OBJECTS, ())
    if options.labels == "percent":
        raw = scale_objects(raw, 1 / PERCENT)
    raw, class_notes = renumber_classes(raw, classes)
    if found.is_unlabelled:
        line_notes = (
            AnnotationNote(False, "no label file: taken as an image without objects", "missing-label"),
        )
    return AnnotatedImage(
        found.image,
        format_relative_path(found.image, root),
        split,
        raw,
        normalized=options.labels not in {"pixels", "pixel_corners"},
        notes=(*notes, *line_notes, *class_notes),
        fault=found.fault,
    )


def _warn_outside_source(found: list[YoloImage], folder: Path) -> list[str]:
    """Warn about images and labels outside the source folder: `dvc repro` does not notice changes there.

    A link in the source to a folder elsewhere is followed, so that changes behind it are noticed. Labels may
    lie elsewhere though the images do not: beside the files that these are links to, for example.
    """
    folders = {
        "images": {item.image.parent for item in found},
        "labels": {item.label.parent for item in found if not item.is_unlabelled},
    }
    return [
        f"{kind} lie outside data.source, in {path}, where changes go unnoticed"
        for kind, places in folders.items()
        for path in _find_outside_folders(sorted(places), folder)[:1]
    ]


def _find_outside_folders(places: Sequence[Path], folder: Path) -> list[Path]:
    root, real = Path(os.path.abspath(folder)), folder.resolve()  # noqa: PTH100 - links stay as they are
    return [
        path
        for path in places
        if not Path(os.path.abspath(path)).is_relative_to(root)  # noqa: PTH100
        and not path.resolve().is_relative_to(real)
    ]


def _find_unlisted_images(found: list[YoloImage], folder: Path) -> list[Path]:
    """Find the images of the source that are in none of its splits."""
    listed = {item.image for item in found}
    others = [path for path in list_images(folder) if path not in listed]
    if others:  # rare, except for symbolic links
        listed = {path.resolve() for path in listed}
        others = [path for path in others if path.resolve() not in listed]
    return others


def _report_unlisted_images(unlisted: Sequence[Path], root: Path) -> list[Finding]:
    reason = "in none of the splits of data.yaml, or of the folders"
    return [
        Finding(format_relative_path(path, root), "quarantined", reason, "unlisted-image")
        for path in unlisted
    ]
