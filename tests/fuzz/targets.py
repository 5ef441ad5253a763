"""What is fuzzed: an input is laid out as a source, read, and judged as prepare does.

Anything but a normal return or one sentence of refusal is a crash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.tasks import TASKS
from pipeline.dataset import labels
from pipeline.prepare.images import check as images_of
from pipeline.prepare.images.decode import UnusableImageError
from pipeline.source.archives import extract as archives_of
from pipeline.source.formats import registry
from pipeline.source.formats.yolo import label_lines
from pipeline.source.reading.file_tree import SUFFIXES
from tests import sources
from tests.fuzz import seeds, seeds_of_tools
from tests.fuzz.checks import contents, judged, sentence
from tests.fuzz.mutation import ABSENT
from tests.fuzz.seeds import Parts
from tests.readings import sound

Run = Callable[[Path, Parts], bool]
_SELDOM: Final = 4
"""Of so many inputs one is also given to recognition, which takes longer than reading."""


class Target(NamedTuple):
    """One thing that is fuzzed.

    Attributes:
        run: Takes a folder of its own, whose contents it may keep between inputs, and the parts of an input;
            tells whether it was read, rather than refused.
        seeds: Gives inputs that are read.
    """

    run: Run
    seeds: Callable[[], list[Parts]]


def reading(form: str, files: tuple[str, ...], pictures: tuple[str, ...]) -> Run:
    """Return what reads a format.

    Args:
        form: As in data.format.
        files: What each part of an input is called.
        pictures: Images that are there whatever the input.
    """

    def run(folder: Path, parts: Parts) -> bool:
        for name in pictures:
            if not (folder / name).exists():
                sources.picture(folder / name)
        for name, part in zip(files, parts, strict=False):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if part != ABSENT:
                path.write_bytes(part)
        return _read(form, folder)

    return run


def folders(folder: Path, parts: Parts) -> bool:
    """Make an image of each line's name, or a folder where it ends in a slash, and read them."""
    for line in parts[0].split(b"\n")[:50]:
        steps = [step for step in line.split(b"/") if step not in {b"", b".", b".."}][:6]
        inner = [os.fsdecode(step[:200].replace(b"\0", b"")) for step in steps]
        path = folder.joinpath(*inner)
        try:
            (path if line.endswith(b"/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not line.endswith(b"/"):
                path.write_bytes(_PICTURE)
        except OSError:
            continue  # a file and a folder of one name
    try:
        return _read("folders", folder)
    finally:
        _clear(folder)


def lines(_: Path, parts: Parts) -> bool:
    """Read label lines of YOLO's, and of this project's own files."""
    texts = [part.decode(errors="replace") for part in parts]
    parsed = [label_lines.parse(text) for text in texts]
    form = label_lines.layout(parsed)
    for one in parsed:
        raw, notes = label_lines.objects(one, form)
        assert len(raw.classes) == len(raw.boxes) == len(raw.marks)
        assert all(note.reason for note in notes)
        assert len(one.marks) == len(raw.classes) + len(notes) - len(one.notes)
    for task in TASKS:
        try:
            found = labels.parse(texts[0], task)
        except ValueError:
            continue
        again = labels.parse(labels.render(found, task), task)
        assert again.classes.tolist() == found.classes.tolist()
    return True


def archive(folder: Path, parts: Parts) -> bool:
    """Unpack an archive: what comes out are plain files, and nothing else is touched."""
    path = folder / "archive"
    path.write_bytes(parts[0])
    os.environ["DVC_ROOT"] = str(folder)  # scratch is below it
    try:
        out = archives_of.opened(path)
        assert not any(found.is_symlink() for found in out.rglob("*"))
        assert out.is_relative_to(folder / ".finetrack/sources")
        return True
    except UserError as refusal:
        sentence(refusal)
        return False
    finally:
        assert path.read_bytes() == parts[0]
        assert {found.name for found in folder.iterdir()} <= {"archive", ".finetrack"}
        _clear(folder)


def image(folder: Path, parts: Parts) -> bool:
    """Examine an image file; what it becomes is examined without another finding."""
    suffix = parts[0].decode("latin-1")
    path = folder / f"x{suffix if suffix in SUFFIXES else '.jpg'}"
    path.write_bytes(parts[-1])
    try:
        usable = images_of.examine(path)
    except UnusableImageError:
        return False
    finally:
        assert path.read_bytes() == parts[-1]
    assert all(note.reason for note in usable.notes)
    made = path.with_name(f"made{usable.suffix}")
    made.write_bytes(usable.data or parts[-1])
    again = images_of.examine(made)
    assert (again.size, again.sha256, again.data) == (usable.size, usable.sha256, b"")
    assert [note for note in again.notes if note.kind != "turned"] == []
    return True


def _read(form: str, folder: Path) -> bool:
    before, taken = contents(folder), False
    try:
        source = registry.read(form, folder)
    except UserError as refusal:
        sentence(refusal)
    else:
        taken = True
        sound(source)
        judged(source, folder)
    if sum(map(len, before.values())) % _SELDOM == 0:
        _recognise(folder)
    assert contents(folder) == before, "the source was changed"
    return taken


def _recognise(folder: Path) -> None:
    try:
        registry.recognise("auto", folder)
    except UserError as refusal:
        sentence(refusal)


def _clear(folder: Path) -> None:
    """Empty a folder, whatever the names in it."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


_PICTURE: Final = seeds.picture("JPEG")
_TWO: Final = ("x.jpg", "y.jpg")

TARGETS: Final[dict[str, Target]] = {
    "yolo": Target(
        reading(
            "yolo",
            ("data.yaml", "labels/a.txt", "labels/b.txt", "train.txt", "classes.txt"),
            ("images/a.jpg", "images/b.jpg"),
        ),
        seeds.yolo,
    ),
    "coco": Target(
        reading(
            "coco",
            ("annotations/instances_train.json", "annotations/instances_val.json"),
            ("images/1.jpg", "images/2.jpg"),
        ),
        seeds.coco,
    ),
    "voc": Target(
        reading(
            "voc",
            ("Annotations/x.xml", "Annotations/y.xml", "ImageSets/Main/train.txt"),
            ("JPEGImages/x.jpg", "JPEGImages/y.jpg"),
        ),
        seeds.voc,
    ),
    "labelme": Target(
        reading("labelme", ("x.json", "Annotations/f/y.xml", "Masks/f/y.png"), ("x.jpg", "Images/f/y.jpg")),
        seeds_of_tools.labelme,
    ),
    "cvat": Target(
        reading("cvat", ("annotations.xml",), (*_TWO, "frame_000000.png", "frame_000001.png")),
        seeds_of_tools.cvat,
    ),
    "via": Target(reading("via", ("via.json", "via.csv"), _TWO), seeds_of_tools.via),
    "labelstudio": Target(reading("labelstudio", ("export.json",), _TWO), seeds_of_tools.labelstudio),
    "createml": Target(reading("createml", ("createml.json",), _TWO), seeds_of_tools.createml),
    "dota": Target(
        reading("dota", ("labelTxt/x.txt", "labelTxt/y.txt"), ("images/x.jpg", "images/y.jpg")), seeds.dota
    ),
    "csv": Target(reading("csv", ("boxes.csv",), _TWO), seeds.csv),
    "masks": Target(
        reading("masks", ("masks/x.png", "labelmap.txt", "classes.txt"), ("images/x.jpg",)), seeds.masks
    ),
    "boxes": Target(reading("boxes", ("x.txt", "y.txt", "classes.txt", "test.txt"), _TWO), seeds.boxes),
    "folders": Target(folders, seeds.folders),
    "lines": Target(lines, seeds.label_lines),
    "archives": Target(archive, seeds.archives),
    "images": Target(image, seeds.images),
}
