"""Image files: can training read this one as it is, or what must be mended?

What other readers show otherwise than OpenCV does is rewritten as PNG, in the pixels that OpenCV shows.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2

from pipeline.core.findings import AnnotationNote, FindingKind
from pipeline.core.text import format_count
from pipeline.prepare.images import appearance, decode
from pipeline.prepare.images.appearance import UNKNOWN, ImageAppearance
from pipeline.prepare.images.decode import ImageHeader, UnusableImageError
from pipeline.storage import fingerprint
from pipeline.storage.fingerprint import FileStamp

_SUFFIXES: Final = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
_CONVERTED: Final = ("GIF", "AVIF", "JPEG2000", "PPM")
"""Formats that training does not read, or not everywhere, and that can be rewritten."""
SUFFIXES: Final = frozenset(suffix for usual in _SUFFIXES.values() for suffix in usual)
"""Of images that training reads."""
_SMALLEST: Final = 10
"""Pixels of a side; Ultralytics leaves out what is smaller."""
_LONGISH: Final = 100
"""Times a side is longer than the other: at 640 pixels training would see six of the shorter."""
LONGEST: Final = 1 << 30
"""Bytes of a file."""

_JPEG_END: Final = b"\xff\xd9"
_JPEG_SCAN: Final = b"\xda"
_NO_MARK: Final = (b"\xff", b"\0")
"""What may follow 0xff without making it the beginning of a mark."""


class CheckedImage(NamedTuple):
    """An image that training can read.

    Attributes:
        data: The bytes of a mended copy; none where the file goes on as it is.
        suffix: The suffix that fits the contents.
        size: Width and height in pixels, as displayed.
        notes: What was mended, or is worth a look.
        look: How bright and sharp it is.
        sha256: Of the bytes that go on.
        original: The file, as it was before it was read, where it goes on as it is.
    """

    data: bytes
    suffix: str
    size: tuple[int, int]
    notes: tuple[AnnotationNote, ...] = ()
    look: ImageAppearance = UNKNOWN
    sha256: str = ""
    original: FileStamp | None = None


def examine(path: Path, load: Callable[[bytes], bytes] | None = None) -> CheckedImage:
    """Read an image file whole and decode it.

    Args:
        path: The file.
        load: Takes the image out of its bytes, where it is held within.

    Raises:
        Unusable: It is missing, empty, cut, damaged, no image, too large or too small.
    """
    contents, original = _read(path)
    data = _within(path, contents, load) if load else contents
    header, grey = decode.decode(data, path.suffix)
    size = int(grey.shape[1]), int(grey.shape[0])
    if min(size) < _SMALLEST:
        reason = f"{size[0]} x {size[1]} pixels: training leaves out images under {_SMALLEST} pixels"
        raise UnusableImageError("tiny-image", reason)
    if max(size) > _LONGISH * min(size):
        reason = f"{size[0]} x {size[1]} pixels: a side over {_LONGISH} times the other, cut it up"
        raise UnusableImageError("oblong-image", reason)
    look = appearance.measure(grey)
    if rewritten := _rewriting(header):
        data = cv2.imencode(".png", decode.pixels(data))[1].tobytes()
        return CheckedImage(data, ".png", size, rewritten, look, _sha256(data))
    whole, notes = (data, []) if header.form != "JPEG" else _ended(data)
    if header.turned:
        notes.append(
            AnnotationNote(False, "shown turned by its EXIF orientation, as training shows it", "turned")
        )
    suffix, usual = path.suffix.lower(), _SUFFIXES[header.form]
    if suffix not in usual and not load:
        notes.append(
            AnnotationNote(False, f"{header.form} contents under the suffix {path.suffix}", "wrong-suffix")
        )
    found = CheckedImage(
        whole, suffix if suffix in usual else usual[0], size, tuple(notes), look, _sha256(whole)
    )
    return found if load or whole is not contents else found._replace(data=b"", original=original)


def _read(path: Path) -> tuple[bytes, FileStamp]:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnusableImageError("special-file", "no regular file")
        if found.st_size > LONGEST:
            raise UnusableImageError(
                "giant-image", f"{found.st_size:,} bytes: more than {LONGEST:,} are not read"
            )
        contents = path.read_bytes()
    except FileNotFoundError:
        raise UnusableImageError("missing-image", "no such file") from None
    except OSError as error:
        raise UnusableImageError("unreadable-image", f"cannot be read ({error.strerror})") from None
    if not contents:
        raise UnusableImageError("empty-image", "an empty file (0 bytes)")
    return contents, fingerprint.identity(path, found)


def _within(path: Path, contents: bytes, load: Callable[[bytes], bytes]) -> bytes:
    try:
        return load(contents)
    except ValueError:
        raise UnusableImageError(
            "unreadable-image", f"the image held in {path.name} cannot be read"
        ) from None


def _rewriting(header: ImageHeader) -> tuple[AnnotationNote, ...]:
    """Say why a file is rewritten as PNG; nothing where it goes on as it is."""
    found: list[tuple[bool, FindingKind, str]] = [
        (header.form in _CONVERTED, "unsupported-format", f"{header.form}, which not every reader knows"),
        (header.several, "animated", "several frames or pages: the first is used"),
        (header.depth == 16, "sixteen-bit", "16 bits per value: the upper eight are kept"),
        (header.mode == "1", "one-bit", "one bit per value"),
        (header.mode in {"P", "PA"} and header.form != "GIF", "palette", "a palette"),
        (header.mode == "CMYK", "cmyk", "colours as CMYK"),
        (header.clear, "alpha", "transparent pixels: the colours beneath are shown"),
        (header.turned and header.form not in {"JPEG", "MPO"}, "turned", "turned by its EXIF orientation"),
    ]
    return tuple(
        AnnotationNote(False, f"{reason}; rewritten as PNG", kind) for true, kind, reason in found if true
    )


def _ended(data: bytes) -> tuple[bytes, list[AnnotationNote]]:
    """Cut off what follows a JPEG's end: Ultralytics would take the file for damaged.

    Raises:
        Unusable: It has no end: what follows its pixels' beginning was lost, and decoders fill in grey.
    """
    last = data.rfind(_JPEG_END)
    if last < _scan(data):
        raise UnusableImageError("truncated-image", "damaged: truncated, the mark of its end is missing")
    end = last + len(_JPEG_END)
    surplus = len(data) - end
    if not surplus:
        return data, []
    reason = f"{format_count(surplus, 'byte')} after the end of the JPEG cut off"
    return data[:end], [AnnotationNote(False, reason, "trailing-bytes")]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _scan(data: bytes) -> int:
    """Return where the pixels of a JPEG begin: a thumbnail before them may have an end of its own.

    Where no mark follows, the next one counts, as it does for a decoder.
    """
    at = data.find(b"\xff", 2)
    while at >= 0 and (mark := data[at + 1 : at + 2]) != _JPEG_SCAN:
        length = 1 if mark in _NO_MARK else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        at = data.find(b"\xff", at + length)
    return at if at >= 0 else len(data)
