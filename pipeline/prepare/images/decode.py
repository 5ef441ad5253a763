"""Decode an image as training will: what format is it, is all of it there, and how does it look?

Ultralytics reads with OpenCV: eight bits, blue green red, turned as the EXIF orientation says. What OpenCV
shows is what counts here; Pillow tells what OpenCV keeps to itself. Both decode the whole of an image, except
where a walk over the marks of a JPEG, or the checksums of a PNG, tells that nothing of it is missing: then
OpenCV alone does (of a JPEG the greys, for which every bit is read too), and Pillow only where OpenCV fails.
"""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from pipeline.core.findings import FindingKind
from pipeline.prepare.images.truncation import overlong, unbroken

LARGEST: Final = 100_000_000
"""Pixels of an image: 300 MB decoded, and each core decodes one at a time."""
_TRIED: Final = {"JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM"}
"""Formats that Pillow is let try: its decoder for EPS would start another program. JPEG is MPO's, too."""
_MODES: Final = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "I;16B", "I;16L"}
_GREYS: Final = {"JPEG", "MPO"}
"""Formats that hold greys apart from colours, in either of these modes of Pillow."""
_PLAIN: Final = {"L", "RGB"}
_TURNS: Final = {2, 3, 4, 5, 6, 7, 8}
_ORIENTATION: Final = 274
_BITS_PER_SAMPLE: Final = 258

warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)  # OpenCV passes over it, and so may we
Image.MAX_IMAGE_PIXELS = None  # LARGEST is lower, and Pillow would warn on standard error besides


class UnusableImageError(ValueError):
    """Say why an image cannot be used.

    Args:
        kind: For machines.
        reason: In words.
    """

    def __init__(self, kind: FindingKind, reason: str) -> None:
        super().__init__(reason)
        self.kind: FindingKind = kind


class ImageHeader(NamedTuple):
    """What Pillow says of an image.

    Attributes:
        form: Its format.
        mode: Of its pixels, such as RGB.
        depth: Bits per value.
        several: Frames or pages: it is animated, or a document.
        turned: EXIF says that it is shown turned or mirrored.
        clear: Some of it is transparent.
    """

    form: str
    mode: str
    depth: int
    several: bool
    turned: bool
    clear: bool


def decode(data: bytes, suffix: str) -> tuple[ImageHeader, NDArray[np.uint8]]:
    """Return what an image file says of itself, and its greys: height x width.

    Args:
        data: The file.
        suffix: Of its name.

    Raises:
        Unusable: It is cut, damaged, no image, too large, or has no one form of eight bits.
    """
    if unbroken(data):
        with suppress(UnusableImageError):  # what is wrong with it, both say together
            return _decoded(data, suffix, whole=False)
    return _decoded(data, suffix, whole=True)


def pixels(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an image file, as training reads it: height x width x 3, blue green red.

    Raises:
        Unusable: OpenCV cannot read it.
    """
    return _read(data, cv2.IMREAD_COLOR)


def _decoded(data: bytes, suffix: str, *, whole: bool) -> tuple[ImageHeader, NDArray[np.uint8]]:
    header = _header(data, suffix, whole=whole)
    if header.depth > 16 or header.mode not in _MODES:
        what = f"{header.depth} bits per value" if header.depth > 16 else f"colours as {header.mode}"
        raise UnusableImageError("unsupported-format", f"{what}: convert it to eight bits, red green blue")
    return header, _greys(data, header)


def _header(data: bytes, suffix: str, *, whole: bool) -> ImageHeader:
    """Read with Pillow what a file says; decode the `whole`: unlike OpenCV it notices one that is cut."""
    try:
        with Image.open(io.BytesIO(data), formats=sorted(_TRIED)) as image:
            width, height = image.size
            if width * height > LARGEST:
                reason = f"{width} x {height} pixels: more than {LARGEST:,} are not decoded; cut it up"
                raise UnusableImageError("giant-image", reason)
            several = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
            depth = _depth(image, data)
            if whole:
                image.load()
            return ImageHeader(str(image.format), image.mode, depth, several, _turned(image), _clear(image))
    except (UnidentifiedImageError, ModuleNotFoundError):  # Pillow as Ultralytics changes it seeks pi_heif
        raise _unidentified(suffix) from None
    except UnusableImageError:
        raise
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ...
        kind: FindingKind = "truncated-image" if "truncated" in str(error).lower() else "damaged-image"
        raise UnusableImageError(kind, f"damaged: {error}") from None


def _depth(image: Image.Image, data: bytes) -> int:
    """Return the bits per value, which Pillow's mode hides where there are three of 16 bits."""
    if image.format == "PNG":
        return data[24]  # of IHDR, which comes first
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))))
    return 16 if image.mode == "I" else 8  # a PGM with values above 255


def _turned(image: Image.Image) -> bool:
    try:
        exif = Image.Image.getexif(image)  # a PNG's own would decode it, for what may stand behind the pixels
        return exif.get(_ORIENTATION, 1) in _TURNS
    except Exception:  # damaged EXIF, which OpenCV passes over
        return False


def _unidentified(suffix: str) -> UnusableImageError:
    if suffix.lower() in {".heic", ".heif", ".dng"}:
        return UnusableImageError(
            "unsupported-format", f"{suffix[1:]} is not read here: convert it to PNG or JPEG"
        )
    return UnusableImageError("unreadable-image", "not an image that can be read")


def _clear(image: Image.Image) -> bool:
    """Tell whether any pixel is transparent, as those of a palette may be too."""
    if not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema()[0] != 255


def _greys(data: bytes, header: ImageHeader) -> NDArray[np.uint8]:
    if header.form in _GREYS and header.mode in _PLAIN:
        return _read(data, cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.cvtColor(pixels(data), cv2.COLOR_BGR2GRAY), np.uint8)


def _read(data: bytes, how: int) -> NDArray[np.uint8]:
    try:
        image = None if overlong(data) else cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        image = None
    if image is None:
        raise UnusableImageError(
            "unreadable-image", "OpenCV, with which training reads images, cannot read it"
        )
    return np.asarray(image, np.uint8)
