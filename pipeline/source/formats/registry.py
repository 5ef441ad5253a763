"""Annotation formats, one module each: a folder -> what its annotations say.

A format is a module with LOOKED_FOR, recognises and read, and a line in the table below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from pipeline.core.errors import UserError
from pipeline.source.reading import diagnosis
from pipeline.source.reading.file_tree import files_of, folders_in, relative
from pipeline.source.reading.unicode_names import spell
from pipeline.source.types import Source

_DEEPEST: Final = 5
_MOST_HINTS: Final = 20
_ARCHIVES: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


class AnnotationFormat(Protocol):
    """A module that reads one format."""

    @property
    def LOOKED_FOR(self) -> str:
        """What it is recognised by, in a few words, JSON, XML, CSV or text files among them if it is such."""

    def recognises(self, folder: Path) -> bool:
        """Tell by names, and a look into few files, whether this format is in a folder."""

    def read(self, folder: Path) -> Source:
        """Read a source; refuse what cannot be read at all."""


class RecognizedFormat(NamedTuple):
    """Which format a source has.

    Attributes:
        form: Its name, as in data.format.
        folder: The source folder, or the one folder in it.
        remarks: What else it might have been.
    """

    form: str
    folder: Path
    remarks: tuple[str, ...] = ()


def formats() -> Mapping[str, AnnotationFormat]:
    """Return all formats by name; where several recognise a source, the first reads it.

    The modules are imported here, spelled out: a stage that draws its images needs none of them, and dvc.yaml
    lists each stage's code by its imports.
    """
    from pipeline.source.formats import class_folders, createml, dota, text_boxes
    from pipeline.source.formats.coco import reader as coco_reader
    from pipeline.source.formats.csv import reader as csv_reader
    from pipeline.source.formats.cvat import reader as cvat_reader
    from pipeline.source.formats.labelme import reader as labelme_reader
    from pipeline.source.formats.labelstudio import reader as labelstudio_reader
    from pipeline.source.formats.masks import reader as masks_reader
    from pipeline.source.formats.via import reader as via_reader
    from pipeline.source.formats.voc import reader as voc_reader
    from pipeline.source.formats.yolo import reader

    return {
        "yolo": reader,
        "coco": coco_reader,
        "voc": voc_reader,
        "cvat": cvat_reader,
        "labelme": labelme_reader,
        "via": via_reader,
        "labelstudio": labelstudio_reader,
        "createml": createml,
        "dota": dota,
        "csv": csv_reader,
        "masks": masks_reader,
        "boxes": text_boxes,
        "folders": class_folders,
    }


def read(form: str, folder: Path, wanted: str = "auto") -> Source:
    """Read a source; it is never written to.

    Args:
        form: A name of the table, or auto.
        folder: The source folder.
        wanted: The task, as in data.task: where it needs outlines, a source that has some is read for them.

    Raises:
        Refused: There is no such folder, or nothing in it that can be read.
    """
    found = recognise(form, folder)
    source = spell(formats()[found.form].read(found.folder))
    if len(set(source.names)) < len(source.names):
        twice = next(name for name, number in Counter(source.names).items() if number > 1)
        raise UserError(f"two classes of {folder} are called {twice!r}: give each a name of its own")
    if wanted in {"segment", "obb"} - {source.task} and any(i.raw.outlines for i in source.images):
        source = source._replace(task="segment")
    inner = relative(found.folder, folder)
    named = source if inner == "." else _below(source, inner)
    return named._replace(remarks=(*found.remarks, *source.remarks))


def recognise(form: str, folder: Path) -> RecognizedFormat:
    """Find out the format of a source, and whether it lies in the folder or in the only folder therein.

    Raises:
        Refused: There is no such folder, or none of the formats is in it.
    """
    if not folder.is_dir():
        raise UserError(f"data.source={folder} is not a folder: set it to the folder that holds the images")
    table = formats()
    if form not in {"auto", *table}:
        raise UserError(f"no format is called {form}: take auto, or one of {', '.join(table)}")
    names = list(table) if form == "auto" else [form]
    for place in _nested(folder):
        if recognised := _recognised(place, names):
            return RecognizedFormat(recognised[0], place, _remarks(recognised))
    if form != "auto":
        return RecognizedFormat(form, folder)  # its reader says what is missing
    told = {name: module.LOOKED_FOR for name, module in table.items()}
    raise UserError(
        f"no annotations recognised in {folder}{_hint(folder, names)}: {diagnosis.explain(folder, told)}"
    )


def _recognised(place: Path, names: list[str]) -> list[str]:
    """Return the formats that a folder may have; class folders, as which many folders pass, if no other."""
    found = [name for name in names if formats()[name].recognises(place)]
    return [name for name in found if name != "folders"] or found


def _below(source: Source, inner: str) -> Source:
    """Name the files of an inner folder as the source folder sees them."""
    images = tuple(image._replace(source=f"{inner}/{image.source}") for image in source.images)
    defects = tuple(defect._replace(file=f"{inner}/{defect.file}") for defect in source.defects)
    return source._replace(images=images, defects=defects)


def _nested(folder: Path) -> Iterator[Path]:
    """Yield the folder, then the only folder in it, as in the archive of a folder, and so on."""
    for _ in range(_DEEPEST):
        yield folder
        inner = folders_in(folder)
        if len(inner) != 1:
            return
        folder = inner[0]


def _remarks(names: list[str]) -> tuple[str, ...]:
    if len(names) == 1:
        return ()
    others = " and ".join(names[1:])
    return (f"read as {names[0]}, though it looks like {others} too: data.format decides",)


def _hint(folder: Path, names: list[str]) -> str:
    """Name the first folders further down that hold a dataset, or else an archive."""
    inner = [(path, _recognised(path, names)) for path in folders_in(folder)[:_MOST_HINTS]]
    held = [f"{path.name}/ ({found[0]})" for path, found in inner if found]
    if held:
        return f" itself, but in {', '.join(held)}, one of which data.source may be"
    packed = next(iter(files_of(folder, *_ARCHIVES)), None)
    return (
        f" itself; {relative(packed, folder)} may be an archive of one: name it in data.source"
        if packed
        else ""
    )
