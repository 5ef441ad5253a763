"""Check for missing data in JPEG and PNG files without decoding them."""

from __future__ import annotations

import re
import zlib
from typing import Final

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
