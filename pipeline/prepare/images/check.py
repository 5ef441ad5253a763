"""Check one image file: can training read it as it is, must it be rewritten, or is it unusable?

Files that other readers show differently than OpenCV are rewritten as PNG, with the pixels from OpenCV.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2

from pipeline.core.findings import AnnotationNote, Finding, FindingKind
from pipeline.prepare.images.appearance import UNKNOWN_APPEARANCE, ImageAppearance, measure_appearance
from pipeline.prepare.images.decode import ImageHeader, decode_color, decode_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.images.truncation import (
    cut_after_jpeg_end,
)
from pipeline.source.embedded_image import EmbeddedSpan
from pipeline.storage.fingerprint import FileStamp, build_file_stamp

_SUFFIXES_BY_FORMAT: Final = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
_CONVERTED_FORMATS: Final = ("GIF", "AVIF", "JPEG2000", "PPM")
"""Formats that training cannot read, or not on every system; they are rewritten as PNG."""
TRAINING_SUFFIXES: Final = frozenset(suffix for usual in _SUFFIXES_BY_FORMAT.values() for suffix in usual)
"""Suffixes of images that training reads."""
_MIN_SIDE: Final = 10
"""Pixels. Ultralytics skips smaller images."""
_MAX_ASPECT_RATIO: Final = 100
"""At 640 pixels, training would see six pixels of the shorter side."""
MAX_FILE_BYTES: Final = 1 << 30
_NO_FILE: Final = "no such file"
_NOT_READ: Final = "cannot be read"
_NO_BYTES: Final = "an empty file (0 bytes)"


class CheckedImage(NamedTuple):
    """An image file that training can read, after a repair where needed.

    Attributes:
        data: The contents of the repaired copy; empty where the file is used unchanged.
        suffix: The suffix that fits the contents.
        size: Width and height in pixels, as displayed.
        notes: What was repaired or noticed.
        appearance: Brightness, sharpness and thumbnail.
        sha256: SHA-256 of the contents that are used.
        original: The file before it was read, where it is used unchanged; else None.
    """

    data: bytes
    suffix: str
    size: tuple[int, int]
    notes: tuple[AnnotationNote, ...] = ()
    appearance: ImageAppearance = UNKNOWN_APPEARANCE
    sha256: str = ""
    original: FileStamp | None = None


def is_about_absent_file(finding: Finding) -> bool:
    """Tell whether a finding says that an image file could not be read at all, whatever is in it."""
    return finding.reason in {_NO_FILE, _NO_BYTES} or finding.reason.startswith(f"{_NOT_READ} (")


def check_image(path: Path, load: Callable[[bytes], bytes] | None = None) -> CheckedImage:
    """Read and decode an image file, and repair it where needed.

    Args:
        path: The file.
        load: Extracts the image from the contents of the file, where the file contains it.

    Raises:
        UnusableImageError: The file is missing, empty, truncated, damaged, no image, too large or too small.
    """
    contents, original = _read_file(path, load if isinstance(load, EmbeddedSpan) else None)
    data = _extract_image(path, contents, load) if load else contents
    header, gray = decode_image(data, path.suffix)
    size = int(gray.shape[1]), int(gray.shape[0])
    _check_size(size)
    appearance = measure_appearance(gray)
    if reasons := _reasons_to_rewrite(header):
        data = cv2.imencode(".png", decode_color(data))[1].tobytes()
        return CheckedImage(data, ".png", size, reasons, appearance, _sha256(data))
    whole, notes = (data, []) if header.format != "JPEG" else cut_after_jpeg_end(data)
    suffix, usual = path.suffix.lower(), _SUFFIXES_BY_FORMAT[header.format]
    notes += _note_header(header, path.suffix, suffix_fits=suffix in usual or load is not None)
    checked = CheckedImage(
        whole, suffix if suffix in usual else usual[0], size, tuple(notes), appearance, _sha256(whole)
    )
    return checked if load or whole is not contents else checked._replace(data=b"", original=original)


def _check_size(size: tuple[int, int]) -> None:
    if min(size) < _MIN_SIDE:
        reason = f"{size[0]} x {size[1]} pixels: training leaves out images under {_MIN_SIDE} pixels"
        raise UnusableImageError("tiny-image", reason)
    if max(size) > _MAX_ASPECT_RATIO * min(size):
        reason = f"{size[0]} x {size[1]} pixels: a side over {_MAX_ASPECT_RATIO} times the other, cut it up"
        raise UnusableImageError("oblong-image", reason)


def _note_header(header: ImageHeader, suffix: str, *, suffix_fits: bool) -> list[AnnotationNote]:
    found: list[tuple[bool, FindingKind, str]] = [
        (header.turned, "turned", "shown turned by its EXIF orientation, as training shows it"),
        (not suffix_fits, "wrong-suffix", f"{header.format} contents under the suffix {suffix}"),
    ]
    return [AnnotationNote(False, reason, kind) for true, kind, reason in found if true]


def _read_file(path: Path, span: EmbeddedSpan | None = None) -> tuple[bytes, FileStamp]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImageError("special-file", "no regular file")
        length = span.length if span else status.st_size
        if length > MAX_FILE_BYTES:
            raise UnusableImageError(
                "giant-image", f"{length:,} bytes: more than {MAX_FILE_BYTES:,} are not read"
            )
        contents = _read_span(path, span) if span else path.read_bytes()
    except FileNotFoundError:
        raise UnusableImageError("missing-image", _NO_FILE) from None
    except OSError as error:
        raise UnusableImageError("unreadable-image", f"{_NOT_READ} ({error.strerror})") from None
    if not contents:
        raise UnusableImageError("empty-image", _NO_BYTES)
    return contents, build_file_stamp(path, status)


def _read_span(path: Path, span: EmbeddedSpan) -> bytes:
    with path.open("rb") as file:
        file.seek(span.offset)
        return file.read(span.length)


def _extract_image(path: Path, contents: bytes, load: Callable[[bytes], bytes]) -> bytes:
    try:
        return load(contents)
    except ValueError:
        raise UnusableImageError(
            "unreadable-image", f"the image held in {path.name} cannot be read"
        ) from None


def _reasons_to_rewrite(header: ImageHeader) -> tuple[AnnotationNote, ...]:
    """Say why a file is rewritten as PNG; empty where it is used unchanged."""
    turned_elsewhere = header.turned and header.format not in {"JPEG", "MPO"}
    found: list[tuple[bool, FindingKind, str]] = [
        (
            header.format in _CONVERTED_FORMATS,
            "unsupported-format",
            f"{header.format}, which not every reader knows",
        ),
        (header.multiple, "animated", "several frames or pages: the first is used"),
        (header.depth == 16, "sixteen-bit", "16 bits per value: the upper eight are kept"),
        (header.mode == "1", "one-bit", "one bit per value"),
        (header.mode in {"P", "PA"} and header.format != "GIF", "palette", "a palette"),
        (header.mode == "CMYK", "cmyk", "colours as CMYK"),
        (header.transparent, "alpha", "transparent pixels: the colours beneath are shown"),
        (turned_elsewhere, "turned", "turned by its EXIF orientation"),
    ]
    return tuple(
        AnnotationNote(False, f"{reason}; rewritten as PNG", kind) for true, kind, reason in found if true
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
