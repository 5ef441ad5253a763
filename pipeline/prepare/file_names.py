"""What an image is called in the prepared dataset: readable, safe on every system, unique."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.core.findings import AnnotationNote

_LONGEST = 150  # bytes of a stem; file systems take 255 for the whole name, and augmentation adds to it


def stems(sources: Sequence[str]) -> list[str]:
    """Name each source by its own stem, and where several would share one, by a piece of its path's hash too.

    A name depends on the sources it would collide with and on nothing else, so that adding an image renames
    no other, except one of the same stem. Suffixes do not count: two images never share a label file.

    Args:
        sources: Unique paths relative to the source folder, parts separated by slashes.
    """
    plain = [_safe(PurePosixPath(source).stem) for source in sources]
    for digits in (8, 64):
        taken = Counter(stem.casefold() for stem in plain)
        named = [
            stem if taken[stem.casefold()] == 1 else f"{stem}-{_digest(source)[:digits]}"
            for source, stem in zip(sources, plain, strict=True)
        ]
        if len({stem.casefold() for stem in named}) == len(named):
            break
    return named


def findings(sources: Sequence[str]) -> dict[str, AnnotationNote]:
    """Say which images get another name than their own, because not every file system takes it.

    Args:
        sources: Unique paths relative to the source folder; bytes that are no UTF-8 spelled out.
    """
    taken = Counter(map(_folded, sources))
    found = {}
    for source in sources:
        if taken[_folded(source)] > 1:
            reason = "a name that differs from another only in case or accents: it gets one of its own"
            found[source] = AnnotationNote(False, reason, "same-name")
        elif re.search(r"\\x[0-9a-f]{2}", source):
            found[source] = AnnotationNote(False, "a name that is no UTF-8: it gets another", "awkward-name")
        elif len(PurePosixPath(source).stem.encode()) > _LONGEST:
            found[source] = AnnotationNote(False, f"a name of over {_LONGEST} bytes: cut", "awkward-name")
    return found


def _folded(source: str) -> str:
    return unicodedata.normalize("NFC", source).casefold()


def _safe(stem: str) -> str:
    """Keep letters of any script, digits, dots, dashes and underscores."""
    kept = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", stem)).strip("._-")
    return kept.encode()[:_LONGEST].decode(errors="ignore") or "image"


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()
