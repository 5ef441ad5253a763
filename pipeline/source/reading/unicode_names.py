"""Escape text that UTF-8 cannot encode: names of files and classes may contain it."""

from __future__ import annotations

import re
from typing import Final

from pipeline.source.types import AnnotatedImage, Source

_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def escape_text(text: str) -> str:
    r"""Escape characters that UTF-8 cannot encode, line breaks and terminal control characters.

    Examples: `\ud800` from JSON, an invalid byte or a line feed in a file name.
    """
    if text.isascii() and text.isprintable():
        return text
    written = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), written)


def escape_source_text(source: Source) -> Source:
    """Escape all text of a source that is written to reports and manifests."""
    return source._replace(
        names=tuple(map(escape_text, source.names)),
        images=tuple(map(_escape_image, source.images)),
        defects=tuple(
            defect._replace(file=escape_text(defect.file), reason=escape_text(defect.reason))
            for defect in source.defects
        ),
        remarks=tuple(map(escape_text, source.remarks)),
    )


def _escape_image(image: AnnotatedImage) -> AnnotatedImage:
    named = "".join((image.source, *image.raw.marks))
    if escape_text(named) is named and not image.notes and not image.fault:
        return image
    raw = image.raw._replace(marks=tuple(map(escape_text, image.raw.marks)))
    notes = tuple(note._replace(reason=escape_text(note.reason)) for note in image.notes)
    return image._replace(
        source=escape_text(image.source), raw=raw, notes=notes, fault=escape_text(image.fault)
    )
