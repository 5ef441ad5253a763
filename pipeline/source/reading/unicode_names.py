"""Text that can be written: names of files and classes may hold what UTF-8 cannot."""

from __future__ import annotations

import re
from typing import Final

from pipeline.source.types import AnnotatedImage, Source

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def spelled(text: str) -> str:
    r"""Spell out what UTF-8 has no form for, and what ends a line or controls a terminal.

    Such as `\ud800` in JSON, or an odd byte or a line feed in a file's name.
    """
    if text.isascii() and text.isprintable():
        return text
    written = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), written)


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


def _image(image: AnnotatedImage) -> AnnotatedImage:
    named = "".join((image.source, *image.raw.marks))
    if spelled(named) is named and not image.notes and not image.fault:
        return image
    raw = image.raw._replace(marks=tuple(map(spelled, image.raw.marks)))
    notes = tuple(note._replace(reason=spelled(note.reason)) for note in image.notes)
    return image._replace(source=spelled(image.source), raw=raw, notes=notes, fault=spelled(image.fault))
