"""Fuzz targets: an input is written as a source, read, and checked as prepare does.

Anything except a normal return or a refusal of one sentence is a crash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.tasks import TASKS
from pipeline.dataset.labels import format_labels, parse_labels
from pipeline.prepare.images.check import check_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.source.archives.extract import unpack_source
from pipeline.source.formats.yolo.label_layout import infer_label_layout
from pipeline.source.formats.yolo.label_lines import (
    build_label_objects,
    parse_label_lines,
)
from pipeline.source.recognize_format import read_source, recognize_source
from tests import sources
from tests.fuzz import benchmark_seeds, seeds, tool_seeds
from tests.fuzz.checks import check_as_prepare, check_refusal, read_contents
from tests.fuzz.mutation import ABSENT
from tests.fuzz.seeds import Parts
from tests.readings import check_source

Run = Callable[[Path, Parts], bool]
_RECOGNITION_INTERVAL: Final = 4
"""One in this many inputs also runs format recognition, which takes longer than reading."""


class Target(NamedTuple):
    """One fuzz target.

    Attributes:
        run: Takes a folder of its own, whose contents it may keep between inputs, and the parts of an input;
            returns True if the input was read and False if it was refused.
        seeds: Returns valid inputs.
    """

    run: Run
    seeds: Callable[[], list[Parts]]


def build_reader(form: str, files: tuple[str, ...], pictures: tuple[str, ...]) -> Run:
    """Return a function that writes an input as a source and reads it.

    Args:
        form: As in data.format.
        files: File name of each part of an input.
        pictures: Images that are written for every input.
    """

    def run(folder: Path, parts: Parts) -> bool:
        for name in pictures:
            if not (folder / name).exists():
                sources.write_picture(folder / name)
        for name, part in zip(files, parts, strict=False):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if part != ABSENT:
                path.write_bytes(part)
        return _read_and_check(form, folder)

    return run


def read_class_folders(folder: Path, parts: Parts) -> bool:
    """Write an image for each line, or a folder if the line ends in a slash, and read them."""
    for line in parts[0].split(b"\n")[:50]:
        steps = [step for step in line.split(b"/") if step not in {b"", b".", b".."}][:6]
        inner = [os.fsdecode(step[:200].replace(b"\0", b"")) for step in steps]
        path = folder.joinpath(*inner)
        try:
            (path if line.endswith(b"/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not line.endswith(b"/"):
                path.write_bytes(_PICTURE)
        except OSError:
            continue  # a file and a folder with the same name
    try:
        return _read_and_check("folders", folder)
    finally:
        _empty_folder(folder)


def read_label_lines(_: Path, parts: Parts) -> bool:
    """Parse YOLO label lines, and label files of this project."""
    texts = [part.decode(errors="replace") for part in parts]
    parsed = [parse_label_lines(text) for text in texts]
    form = infer_label_layout(parsed)
    for one in parsed:
        raw, notes = build_label_objects(one, form)
        assert len(raw.classes) == len(raw.boxes) == len(raw.marks)
        assert all(note.reason for note in notes)
        assert len(one.marks) == len(raw.classes) + len(notes) - len(one.notes)
    for task in TASKS:
        try:
            found = parse_labels(texts[0], task)
        except ValueError:
            continue
        again = parse_labels(format_labels(found, task), task)
        assert again.classes.tolist() == found.classes.tolist()
    return True


def unpack_archive(folder: Path, parts: Parts) -> bool:
    """Unpack an archive: only plain files are written, and nothing else is changed."""
    path = folder / "archive"
    path.write_bytes(parts[0])
    os.environ["DVC_ROOT"] = str(folder)  # the scratch folder is in it
    try:
        out = unpack_source(path)
        assert not any(found.is_symlink() for found in out.rglob("*"))
        assert out.is_relative_to(folder / ".finetrack/sources")
        return True
    except UserError as refusal:
        check_refusal(refusal)
        return False
    finally:
        assert path.read_bytes() == parts[0]
        assert {found.name for found in folder.iterdir()} <= {"archive", ".finetrack"}
        _empty_folder(folder)


def check_image_file(folder: Path, parts: Parts) -> bool:
    """Check an image file; its converted form must pass the check without findings."""
    suffix = parts[0].decode("latin-1")
    path = folder / f"x{suffix if suffix in IMAGE_SUFFIXES else '.jpg'}"
    path.write_bytes(parts[-1])
    try:
        usable = check_image(path)
    except UnusableImageError:
        return False
    finally:
        assert path.read_bytes() == parts[-1]
    assert all(note.reason for note in usable.notes)
    made = path.with_name(f"made{usable.suffix}")
    made.write_bytes(usable.data or parts[-1])
    again = check_image(made)
    assert (again.size, again.sha256, again.data) == (usable.size, usable.sha256, b"")
    assert [note for note in again.notes if note.kind != "turned"] == []
    return True


def _read_and_check(form: str, folder: Path) -> bool:
    before, was_read = read_contents(folder), False
    try:
        source = read_source(form, folder)
    except UserError as refusal:
        check_refusal(refusal)
    else:
        was_read = True
        check_source(source)
        check_as_prepare(source, folder)
    if sum(map(len, before.values())) % _RECOGNITION_INTERVAL == 0:
        _recognize(folder)
    assert read_contents(folder) == before, "the source was changed"
    return was_read


def _recognize(folder: Path) -> None:
    try:
        recognize_source("auto", folder)
    except UserError as refusal:
        check_refusal(refusal)


def _empty_folder(folder: Path) -> None:
    """Remove everything in a folder, also files with unusual names."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


_PICTURE: Final = seeds.encode_picture("JPEG")
_TWO: Final = ("x.jpg", "y.jpg")

TARGETS: Final[dict[str, Target]] = {
    "yolo": Target(
        build_reader(
            "yolo",
            ("data.yaml", "labels/a.txt", "labels/b.txt", "train.txt", "classes.txt"),
            ("images/a.jpg", "images/b.jpg"),
        ),
        seeds.build_yolo_seeds,
    ),
    "coco": Target(
        build_reader(
            "coco",
            ("annotations/instances_train.json", "annotations/instances_val.json"),
            ("images/1.jpg", "images/2.jpg"),
        ),
        seeds.build_coco_seeds,
    ),
    "voc": Target(
        build_reader(
            "voc",
            ("Annotations/x.xml", "Annotations/y.xml", "ImageSets/Main/train.txt"),
            ("JPEGImages/x.jpg", "JPEGImages/y.jpg"),
        ),
        seeds.build_voc_seeds,
    ),
    "labelme": Target(
        build_reader(
            "labelme", ("x.json", "Annotations/f/y.xml", "Masks/f/y.png"), ("x.jpg", "Images/f/y.jpg")
        ),
        tool_seeds.build_labelme_seeds,
    ),
    "cvat": Target(
        build_reader("cvat", ("annotations.xml",), (*_TWO, "frame_000000.png", "frame_000001.png")),
        tool_seeds.build_cvat_seeds,
    ),
    "via": Target(build_reader("via", ("via.json", "via.csv"), _TWO), tool_seeds.build_via_seeds),
    "labelstudio": Target(
        build_reader("labelstudio", ("export.json",), _TWO), tool_seeds.build_labelstudio_seeds
    ),
    "createml": Target(build_reader("createml", ("createml.json",), _TWO), tool_seeds.build_createml_seeds),
    "dota": Target(
        build_reader("dota", ("labelTxt/x.txt", "labelTxt/y.txt"), ("images/x.jpg", "images/y.jpg")),
        seeds.build_dota_seeds,
    ),
    "kitti": Target(
        build_reader("kitti", ("label_2/x.txt", "label_2/y.txt"), ("image_2/x.jpg", "image_2/y.jpg")),
        benchmark_seeds.build_kitti_seeds,
    ),
    "visdrone": Target(
        build_reader(
            "visdrone", ("annotations/x.txt", "annotations/y.txt"), ("images/x.jpg", "images/y.jpg")
        ),
        benchmark_seeds.build_visdrone_seeds,
    ),
    "mot": Target(
        build_reader(
            "mot", ("gt/gt.txt", "seqinfo.ini", "gt/labels.txt"), ("img1/000001.jpg", "img1/000002.jpg")
        ),
        benchmark_seeds.build_mot_seeds,
    ),
    "wider": Target(
        build_reader("wider", ("lists/train_bbx_gt.txt", "lists/val_bbx_gt.txt"), _TWO),
        benchmark_seeds.build_wider_seeds,
    ),
    "supervisely": Target(
        build_reader("supervisely", ("meta.json", "ds/ann/x.jpg.json"), ("ds/img/x.jpg",)),
        tool_seeds.build_supervisely_seeds,
    ),
    "vott": Target(
        build_reader("vott", ("p-export.json", "x-asset.json"), _TWO), tool_seeds.build_vott_seeds
    ),
    "datumaro": Target(
        build_reader(
            "datumaro", ("annotations/train.json", "annotations/val.json"), ("images/x.jpg", "y.jpg")
        ),
        tool_seeds.build_datumaro_seeds,
    ),
    "openimages": Target(
        build_reader("openimages", ("boxes.csv", "classes.csv"), _TWO), benchmark_seeds.build_openimages_seeds
    ),
    "tfrecord": Target(
        build_reader("tfrecord", ("train.tfrecord", "label_map.pbtxt"), ()),
        benchmark_seeds.build_tfrecord_seeds,
    ),
    "kerasyolo": Target(
        build_reader("kerasyolo", ("_annotations.txt", "_classes.txt"), _TWO), seeds.build_kerasyolo_seeds
    ),
    "csv": Target(build_reader("csv", ("boxes.csv",), _TWO), seeds.build_csv_seeds),
    "masks": Target(
        build_reader("masks", ("masks/x.png", "labelmap.txt", "classes.txt"), ("images/x.jpg",)),
        seeds.build_mask_seeds,
    ),
    "boxes": Target(
        build_reader("boxes", ("x.txt", "y.txt", "classes.txt", "test.txt"), _TWO), seeds.build_box_seeds
    ),
    "folders": Target(read_class_folders, seeds.build_folder_seeds),
    "lines": Target(read_label_lines, seeds.build_label_line_seeds),
    "archives": Target(unpack_archive, seeds.build_archive_seeds),
    "images": Target(check_image_file, seeds.build_image_seeds),
}
