"""`python -m pipeline inspect PATH`: what prepare would find in a folder or an archive, which is unpacked.

Beside that, and the hashes of archives, in `.finetrack`, it writes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import call
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import numpy as np

from pipeline.commands import source_overview
from pipeline.commands.source_overview import (
    InspectedImage,
    SourceDescription,
    SourceOverview,
    as_json,
    as_text,
)
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.prepare import file_names, ingest
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.duplicates.search import NONE, SIDE
from pipeline.prepare.ingest import IngestSettings
from pipeline.prepare.splits import partition
from pipeline.prepare.splits.history import NOTHING
from pipeline.prepare.splits.partition import UNLISTED, SplitImage, SplitRules
from pipeline.runtime import workers
from pipeline.source.archives import extract
from pipeline.source.formats import registry
from pipeline.source.reading.unicode_names import spelled
from pipeline.source.types import AnnotatedImage

RULES: Final = SplitRules(
    split={"train": 0.7, "val": 0.15, "test": 0.15},
    keep_split=True,
    group_by=None,
    near_duplicates=True,
    on_leak="refuse",
    folds=None,
    fold=0,
    seed=0,
)
"""As conf/data has them."""


def run(arguments: Sequence[str]) -> Iterable[str]:
    """Yield the lines of the answer.

    Raises:
        Refused: There is no such folder or archive, or no format that is known.
    """
    chosen = _parser().parse_args(arguments)
    seen = look(Path(chosen.path).expanduser(), form=chosen.format)
    return [as_json(seen)] if chosen.json else as_text(seen)


def look(path: Path, *, form: str = "auto") -> SourceOverview:
    """Read a source and check each image as prepare would, on several cores, keeping none."""
    folder = extract.opened(path)
    found = registry.recognise(form, folder)
    source = registry.read(found.form, folder)
    points = source.keypoints.count if source.keypoints else 0
    terms = IngestSettings(
        source.task, TaskRequirements(source.task, len(source.names), points), "fix", folder
    )
    names = file_names.findings([entry.source for entry in source.images])
    work = [partial(_looked, entry, terms, names.get(entry.source)) for entry in source.images]
    remarks = (*found.remarks, *source.remarks)
    read = SourceDescription(
        spelled(str(path)), found.form, source.task, source.names, source.keypoints, remarks
    )
    with TemporaryFile() as thumbnails:
        entries: list[SplitImage] = []
        each = workers.each(call, work, total=len(work), what="inspect")
        seen = source_overview.overview(read, _noted(each, entries, thumbnails), source.defects)
        return _foreseen(seen, entries, thumbnails)


def _looked(
    entry: AnnotatedImage, terms: IngestSettings, name: AnnotationNote | None
) -> tuple[InspectedImage, SplitImage | None, bytes]:
    """Judge an image; return what an overview counts, what a division goes by, and its thumbnail."""
    judged, found = ingest.judge(entry._replace(notes=(*entry.notes, name)) if name else entry, terms)
    if judged is None:
        return InspectedImage(entry.split, False, (), tuple(found)), None, b""
    image, checked = judged
    classes = tuple(checked.classes.tolist())
    divided = SplitImage(entry.source, image.sha256, entry.split, frozenset(classes), entry.columns)
    return InspectedImage(entry.split, True, classes, tuple(found)), divided, image.look.signature


def _noted(
    each: Iterable[tuple[InspectedImage, SplitImage | None, bytes]],
    entries: list[SplitImage],
    thumbnails: IO[bytes],
) -> Iterator[InspectedImage]:
    """Pass on what is counted; keep the entries, and the thumbnails of all in one file."""
    rows = 0
    for looked, entry, thumbnail in each:
        if entry:
            entries.append(entry._replace(thumbnail=rows if thumbnail else None))
            rows += bool(thumbnails.write(thumbnail))
        yield looked


def _foreseen(seen: SourceOverview, entries: Sequence[SplitImage], thumbnails: IO[bytes]) -> SourceOverview:
    """Divide the images as prepare would: say why it would stop, or what it would say."""
    if not entries:
        return replace(seen, refusal="none of its images can be used")
    thumbnails.flush()
    shape = thumbnails.tell() // SIDE**2, SIDE, SIDE
    pictures = np.memmap(thumbnails, np.uint8, "r", shape=shape) if shape[0] else NONE
    try:
        parted = partition.partition(entries, RULES, NOTHING, thumbnails=pictures)
    except UserError as refused:
        return replace(seen, refusal=str(refused))
    unlisted = len(entries) - len(parted.splits)
    left = [f"{format_count(unlisted, 'image is', 'images are')} {UNLISTED}"] if unlisted else []
    return replace(seen, remarks=(*seen.remarks, *parted.remarks, *left))


def _parser() -> argparse.ArgumentParser:
    formats = "".join(f"\n  {name:<12} {form.LOOKED_FOR}" for name, form in registry.formats().items())
    parser = argparse.ArgumentParser(
        prog="python -m pipeline inspect",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Show what a folder or an archive of labelled images holds, and what prepare would say\n"
        "of it; nothing is written (an archive is unpacked into .finetrack).",
        epilog=f"formats, recognised by themselves:{formats}",
    )
    parser.add_argument("path", help="a folder, or a zip or tar of one")
    parser.add_argument("--json", action="store_true", help="for machines, with every finding")
    parser.add_argument("--format", default="auto", help="as data.format, where it is not recognised")
    return parser
