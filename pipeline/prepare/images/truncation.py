"""Tell without decoding it what is missing of an image file, where its format lets that be seen."""

from __future__ import annotations

import re
import zlib
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_START, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PROGRESSIVE: Final = 0xC2
_TABLES: Final = {
    bytes([0xFF, mark]) for mark in (0xC0, 0xC1, _PROGRESSIVE, 0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)
}
"""What may stand before a scan: a frame, tables, the restart interval, remarks."""
_MARK: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A mark that ends a scan: within it, 0xFF is followed by zero, or is a mark to restart from."""


def unbroken(data: bytes) -> bool:
    """Tell whether a JPEG or a PNG is certainly all there; of what is no such file nothing is said.

    What it holds may be damaged all the same: a decoder notices that, and what it does not notice is what is
    missing at the end.
    """
    if data.startswith(_SIGNATURE):
        return _all_chunks(data)
    return data.startswith(_START) and _all_scans(data)


def overlong(data: bytes) -> bool:
    """Tell whether pixels of a PNG claim more bytes than the file has: OpenCV makes room for them first."""
    at = len(_SIGNATURE)
    while data.startswith(_SIGNATURE) and at + 8 <= len(data):
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4])
        if name == b"IDAT" and end > len(data):
            return True
        at = end + 4
    return False


def _all_scans(data: bytes) -> bool:
    """Tell whether a JPEG is tables and a frame, its scans, and the mark of its end (ITU T.81, B.2).

    That is one scan, or where the frame is progressive any number, with tables between them.
    """
    at, progressive = len(_START), False
    while True:
        while (mark := data[at : at + 2]) in _TABLES:
            progressive |= mark[1] == _PROGRESSIVE
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
        end = _MARK.search(data, at + 2) if mark == _SCAN else None
        if end is None or end.group() == _END:
            return end is not None
        if not progressive:
            return False
        at = end.start()


def _all_chunks(data: bytes) -> bool:
    """Tell whether a PNG is chunks with right checksums, the end right behind the pixels (W3C PNG, 5.3)."""
    at, before, view = len(_SIGNATURE), b"", memoryview(data)
    while at + 12 <= len(data):
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4])
        if zlib.crc32(view[at + 4 : end]).to_bytes(4) != data[end : end + 4]:
            return False
        if before == b"IDAT" != name:  # remarks behind the pixels, which Pillow reads too, or the end
            return name == b"IEND"
        at, before = end + 4, name
    return False
