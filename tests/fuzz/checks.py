"""What must hold of anything that was read, however spoilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.core import findings
from pipeline.core.errors import UserError
from pipeline.core.findings import Finding
from pipeline.prepare import ingest
from pipeline.prepare.annotations.boxes import CheckedObjects
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.ingest import IngestSettings
from pipeline.source.types import AnnotatedImage, Source


def judged(source: Source, folder: Path) -> None:
    """Check every image as prepare does: each is used or quarantined, and what is used is within it."""
    count = source.keypoints.count if source.keypoints else 0
    terms = IngestSettings(
        source.task, TaskRequirements(source.task, len(source.names), count), "fix", folder
    )
    found: list[Finding] = [*source.defects]
    used = []
    for entry in source.images:
        usable, noted = ingest.judge(entry, terms)
        found += noted
        if usable:
            used.append(entry.source)
            _within(usable[1], usable[0].size)
            _complete(entry, usable[1])
    came = [entry.source for entry in source.images]
    came += [defect.file for defect in source.defects if defect.verdict == "quarantined"]
    findings.settle(came, used, found)
    findings.render(found, used=len(used), remarks=source.remarks).encode()


def _within(checked: CheckedObjects, size: tuple[int, int]) -> None:
    limit = np.array([*size, *size])
    assert np.isfinite(checked.boxes).all()
    assert ((checked.boxes >= 0) & (checked.boxes <= limit)).all()
    for outline in checked.outlines:
        assert np.isfinite(outline).all()
    for points in checked.keypoints:
        assert np.isfinite(points).all()
        assert ((points[:, :2] >= 0) & (points[:, :2] <= size)).all()


def _complete(entry: AnnotatedImage, checked: CheckedObjects) -> None:
    """Every object that was read is used, or dropped with a word."""
    dropped = [note for note in checked.notes if note.dropped]
    assert len(checked.classes) + len(dropped) == len(entry.raw.classes)
    assert all(note.reason for note in (*entry.notes, *checked.notes))


def sentence(refusal: UserError) -> None:
    """A refusal is one sentence."""
    text = str(refusal)
    assert text.strip()
    assert len(text.splitlines()) == 1, f"not one sentence: {text!r}"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
