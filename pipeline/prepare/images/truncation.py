"""Notice truncated images: missing data in JPEG and PNG files, and errors of decoders about it."""

from __future__ import annotations

import re
import zlib
from typing import Final

from pipeline.core.findings import AnnotationNote, FindingKind
from pipeline.core.text import format_count
from pipeline.prepare.images.errors import UnusableImageError

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PROGRESSIVE: Final = 0xC2
_SEGMENTS_BEFORE_SCAN: Final = {
    bytes([0xFF, marker]) for marker in (0xC0, 0xC1, _PROGRESSIVE, 0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)
}
"""Markers that may precede a scan: frame, tables, restart interval, application data, comments."""
_END_OF_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A marker that ends a scan: inside a scan, 0xFF is followed by zero or belongs to a restart marker."""


def is_complete(data: bytes) -> bool:
    """Check that a JPEG or a PNG has no missing data; False for any other file.

    Its data may still be damaged. A decoder notices damage, but not always that the end is missing.
    """
    if data.startswith(_PNG_SIGNATURE):
        return _is_complete_png(data)
    return data.startswith(_JPEG_START) and _is_complete_jpeg(data)


def has_overlong_chunk(data: bytes) -> bool:
    """Check whether a pixel chunk of a PNG is longer than the file: OpenCV would allocate its memory."""
    at = len(_PNG_SIGNATURE)
    while data.startswith(_PNG_SIGNATURE) and at + 8 <= len(data):
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4])
        if name == b"IDAT" and end > len(data):
            return True
        at = end + 4
    return False


def _is_complete_jpeg(data: bytes) -> bool:
    """Check that a JPEG is tables and a frame, its scans, and the end marker (ITU T.81, B.2).

    There is one scan, or any number of scans with tables between them where the frame is progressive.
    """
    at, progressive = len(_JPEG_START), False
    while True:
        while (marker := data[at : at + 2]) in _SEGMENTS_BEFORE_SCAN:
            progressive |= marker[1] == _PROGRESSIVE
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
        end = _END_OF_SCAN.search(data, at + 2) if marker == _JPEG_SCAN else None
        if end is None or end.group() == _JPEG_END:
            return end is not None
        if not progressive:
            return False
        at = end.start()


def _is_complete_png(data: bytes) -> bool:
    """Check that a PNG is chunks with correct checksums and ends right after its pixels (W3C PNG, 5.3)."""
    at, previous, view = len(_PNG_SIGNATURE), b"", memoryview(data)
    while at + 12 <= len(data):
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4])
        if zlib.crc32(view[at + 4 : end]).to_bytes(4) != data[end : end + 4]:
            return False
        if previous == b"IDAT" != name:  # metadata after the pixels, which Pillow reads too, or the end
            return name == b"IEND"
        at, previous = end + 4, name
    return False


def cut_after_jpeg_end(data: bytes) -> tuple[bytes, list[AnnotationNote]]:
    """Cut off bytes after the end of a JPEG: Ultralytics would report the file as damaged.

    Raises:
        UnusableImageError: No end marker follows the start of the pixels: data is missing, and decoders fill
            the rest with gray.
    """
    last = data.rfind(_JPEG_END)
    if last < _find_jpeg_scan(data):
        raise UnusableImageError("truncated-image", "damaged: truncated, the mark of its end is missing")
    end = last + len(_JPEG_END)
    surplus = len(data) - end
    if not surplus:
        return data, []
    reason = f"{format_count(surplus, 'byte')} after the end of the JPEG cut off"
    return data[:end], [AnnotationNote(False, reason, "trailing-bytes")]


def _find_jpeg_scan(data: bytes) -> int:
    """Return where the pixels of a JPEG start: an embedded thumbnail before them has its own end marker.

    Where no marker follows a segment, search for the next one, as a decoder does.
    """
    at = data.find(b"\xff", 2)
    while at >= 0 and (marker := data[at + 1 : at + 2]) != _SCAN_MARKER:
        length = 1 if marker in _NOT_A_MARKER else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        at = data.find(b"\xff", at + length)
    return at if at >= 0 else len(data)


_SCAN_MARKER: Final = b"\xda"


_NOT_A_MARKER: Final = (b"\xff", b"\0")
"""Bytes that may follow 0xff where it does not start a marker."""


def classify_decoder_error(error: Exception) -> FindingKind:
    """Return whether Pillow's error is about missing data or about damage."""
    return "truncated-image" if "truncated" in str(error).lower() else "damaged-image"
