"""Checks that must hold for every source that was read, even from corrupted files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.findings import Finding, check_file_accounting, serialize_findings
from pipeline.prepare.annotations.boxes import CheckedObjects
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.ingest import IngestSettings, check_annotated_image
from pipeline.source.types import AnnotatedImage, Source


def check_as_prepare(source: Source, folder: Path) -> None:
    """Check every image as prepare does: it is used or quarantined, and its objects are inside it."""
    count = source.keypoints.count if source.keypoints else 0
    terms = IngestSettings(
        source.task, TaskRequirements(source.task, len(source.names), count), "fix", (folder,)
    )
    found: list[Finding] = [*source.defects]
    used = []
    for entry in source.images:
        usable, noted = check_annotated_image(entry, terms)
        found += noted
        if usable:
            used.append(entry.source)
            _check_inside(usable[1], usable[0].size)
            _check_objects_accounted(entry, usable[1])
    came = [entry.source for entry in source.images]
    came += [defect.file for defect in source.defects if defect.verdict == "quarantined"]
    check_file_accounting(came, used, found)
    serialize_findings(found, used=len(used), remarks=source.remarks).encode()


def _check_inside(checked: CheckedObjects, size: tuple[int, int]) -> None:
    limit = np.array([*size, *size])
    assert np.isfinite(checked.boxes).all()
    assert ((checked.boxes >= 0) & (checked.boxes <= limit)).all()
    for outline in checked.outlines:
        assert np.isfinite(outline).all()
    for points in checked.keypoints:
        assert np.isfinite(points).all()
        assert ((points[:, :2] >= 0) & (points[:, :2] <= size)).all()


def _check_objects_accounted(entry: AnnotatedImage, checked: CheckedObjects) -> None:
    """Check that every object is used, or dropped with a reason."""
    dropped = [note for note in checked.notes if note.dropped]
    assert len(checked.classes) + len(dropped) == len(entry.raw.classes)
    assert all(note.reason for note in (*entry.notes, *checked.notes))


def check_refusal(refusal: UserError) -> None:
    """Check that a refusal is one sentence."""
    text = str(refusal)
    assert text.strip()
    assert len(text.splitlines()) == 1, f"not one sentence: {text!r}"


def read_contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
