"""Text that can be written: names of files and classes may hold what UTF-8 cannot."""

from __future__ import annotations

from pipeline.edges.datasets.source import Annotated, Source


def spelled(text: str) -> str:
    r"""Spell out what UTF-8 has no form for: `\ud800` in JSON, or an odd byte of a file's name."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def spell(source: Source) -> Source:
    """Make all that goes into reports and manifests text that can be written."""
    return source._replace(
        names=tuple(map(spelled, source.names)),
        images=tuple(map(_image, source.images)),
        defects=tuple(
            defect._replace(file=spelled(defect.file), reason=spelled(defect.reason))
            for defect in source.defects
        ),
        remarks=tuple(map(spelled, source.remarks)),
    )


def _image(image: Annotated) -> Annotated:
    if image.source.isascii() and not image.notes and not image.fault:
        return image
    notes = tuple(note._replace(reason=spelled(note.reason)) for note in image.notes)
    return image._replace(source=spelled(image.source), notes=notes, fault=spelled(image.fault))
