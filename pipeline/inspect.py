"""`python -m pipeline inspect PATH`: what prepare would find in a folder or an archive, which is unpacked.

Beside that, and the hashes of archives, in `.finetrack`, it writes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from pipeline.core import naming, overview
from pipeline.core.boxes import Note
from pipeline.core.objects import Wanted
from pipeline.core.overview import Described, Looked, Overview
from pipeline.edges import archives, datasets, intake
from pipeline.edges.datasets import Annotated
from pipeline.edges.datasets.spelling import spelled
from pipeline.edges.intake import Terms


def run(arguments: Sequence[str]) -> Iterable[str]:
    """Yield the lines of the answer.

    Raises:
        Refused: There is no such folder or archive, or no format that is known.
    """
    chosen = _parser().parse_args(arguments)
    seen = look(Path(chosen.path).expanduser(), form=chosen.format)
    return [overview.as_json(seen)] if chosen.json else overview.as_text(seen)


def look(path: Path, *, form: str = "auto") -> Overview:
    """Read a source and check each image as prepare would, on several cores, keeping none."""
    folder = archives.opened(path)
    found = datasets.recognise(form, folder)
    source = datasets.read(found.form, folder)
    points = source.keypoints.count if source.keypoints else 0
    terms = Terms(source.task, Wanted(source.task, len(source.names), points), "fix", folder)
    names = naming.findings([entry.source for entry in source.images])
    work = [partial(_looked, entry, terms, names.get(entry.source)) for entry in source.images]
    remarks = (*found.remarks, *source.remarks)
    read = Described(spelled(str(path)), found.form, source.task, source.names, source.keypoints, remarks)
    return overview.overview(read, intake.each(work, total=len(work), what="inspect"), source.defects)


def _looked(entry: Annotated, terms: Terms, name: Note | None) -> Looked:
    judged, found = intake.judge(entry._replace(notes=(*entry.notes, name)) if name else entry, terms)
    classes: tuple[int, ...] = tuple(judged[1].classes.tolist()) if judged else ()
    return Looked(entry.split, judged is not None, classes, tuple(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline inspect",
        description="Show what a folder or an archive of labelled images holds; nothing is written "
        "(an archive is unpacked into .finetrack).",
    )
    parser.add_argument("path", help="a folder, or a zip or tar of one")
    parser.add_argument("--json", action="store_true", help="for machines, with every finding")
    parser.add_argument("--format", default="auto", help="as data.format, where it is not recognised")
    return parser
