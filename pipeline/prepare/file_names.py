"""Choose file names for the prepared dataset: readable, valid on every system, unique."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.core.findings import AnnotationNote

_MAX_STEM_BYTES = 150  # file systems allow 255 bytes for a whole name, and augmentation adds to the stem


def assign_file_stems(sources: Sequence[str]) -> list[str]:
    """Give each image the stem of its source file; append a hash of its path where stems are equal.

    A name depends only on the sources with the same stem: a new image does not change the names of others.
    Suffixes do not count, so two images never share a label file.

    Args:
        sources: Unique paths relative to the source folder, parts separated by slashes.
    """
    stems = [_make_safe_stem(PurePosixPath(source).stem) for source in sources]
    counts = Counter(stem.casefold() for stem in stems)
    for digits in (8, 64):
        unique = [
            stem if counts[stem.casefold()] == 1 else f"{stem}-{_hash_path(source)[:digits]}"
            for source, stem in zip(sources, stems, strict=True)
        ]
        if len({stem.casefold() for stem in unique}) == len(unique):
            break
    return unique


def assign_prefixed_stems(sources: Sequence[str], prefix: str, taken: Sequence[str]) -> list[str]:
    """Give each image a stem with a prefix; the stems that other images have stay theirs.

    Args:
        sources: As for `assign_file_stems`.
        prefix: What the stems begin with.
        taken: The stems of other images.
    """
    others = {stem.casefold() for stem in taken}
    stems = (f"{prefix}{stem}" for stem in assign_file_stems(sources))
    return [
        f"{stem}-{_hash_path(source)[:8]}" if stem.casefold() in others else stem
        for source, stem in zip(sources, stems, strict=True)
    ]


def find_unsafe_names(sources: Sequence[str]) -> dict[str, AnnotationNote]:
    r"""Note the images that get another name, because not every file system allows their own.

    Args:
        sources: Unique paths relative to the source folder; bytes that are not UTF-8 are escaped (`\xe9`).
    """
    counts = Counter(map(_fold_case, sources))
    notes = {}
    for source in sources:
        if counts[_fold_case(source)] > 1:
            reason = "a name that differs from another only in case or accents: it gets one of its own"
            notes[source] = AnnotationNote(False, reason, "same-name")
        elif re.search(r"\\x[0-9a-f]{2}", source):
            notes[source] = AnnotationNote(False, "a name that is no UTF-8: it gets another", "awkward-name")
        elif len(PurePosixPath(source).stem.encode()) > _MAX_STEM_BYTES:
            reason = f"a name of over {_MAX_STEM_BYTES} bytes: cut"
            notes[source] = AnnotationNote(False, reason, "awkward-name")
    return notes


def _fold_case(source: str) -> str:
    return unicodedata.normalize("NFC", source).casefold()


def _make_safe_stem(stem: str) -> str:
    """Keep letters of any script, digits, dots, dashes and underscores."""
    safe = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", stem)).strip("._-")
    return safe.encode()[:_MAX_STEM_BYTES].decode(errors="ignore") or "image"


def _hash_path(source: str) -> str:
    return hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()
