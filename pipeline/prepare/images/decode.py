"""Decode an image as training does, and read its header: format, depth, orientation, transparency.

Ultralytics reads images with OpenCV: eight bits, blue green red, turned by the EXIF orientation. The pixels
from OpenCV count here; Pillow reads what OpenCV does not report. Both decode the whole image, with one
exception: where the markers of a JPEG or the checksums of a PNG show that no data is missing, only OpenCV
decodes it (a JPEG in gray, which reads every bit too), and Pillow decodes it only if OpenCV fails.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from pipeline.core.text import format_count
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.images.tiff_channels import count_tiff_channels
from pipeline.prepare.images.truncation import classify_decoder_error, has_overlong_chunk, is_complete

MAX_PIXELS: Final = 100_000_000
"""Pixels of an image: 300 MB when decoded, and each core decodes one image at a time."""
_PILLOW_FORMATS: Final = {"JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM"}
"""Formats that Pillow may try: its EPS decoder would start another program. JPEG includes MPO."""
_SUPPORTED_MODES: Final = {
    "1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "I;16B", "I;16L",
}  # fmt: skip
_GRAY_PLANE_FORMATS: Final = {"JPEG", "MPO"}
"""Formats that store gray apart from color, in the modes below: OpenCV can decode gray alone."""
_GRAY_PLANE_MODES: Final = {"L", "RGB"}
_MAX_CHANNELS: Final = 4
_MIN_LEVELS: Final = 16
"""Of eight bits, that an image of 16 bits has to reach: else its values have 12 bits or fewer."""
_TURNED_ORIENTATIONS: Final = {2, 3, 4, 5, 6, 7, 8}
_ORIENTATION_TAG: Final = 274
_BITS_PER_SAMPLE_TAG: Final = 258
_SAMPLE_FORMAT_TAG: Final = 339
_SIGNED_SAMPLES: Final = 2
_TILE_WIDTH_TAG: Final = 322
_TILE_LENGTH_TAG: Final = 323
_MIN_TILE_PIXELS: Final = 2048 * 2048
"""Of a tile that any image may have."""

warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)  # OpenCV ignores damaged EXIF too
Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is lower, and Pillow would also warn on standard error


class ImageHeader(NamedTuple):
    """Properties of an image file, as Pillow reads them.

    Attributes:
        format: Pillow's name of the format, such as JPEG.
        mode: Pillow's mode of the pixels, such as RGB.
        depth: Bits per value.
        multiple: The file has several frames or pages: an animation or a document.
        turned: The EXIF orientation turns or mirrors the image.
        transparent: Some pixels are transparent.
    """

    format: str
    mode: str
    depth: int
    multiple: bool
    turned: bool
    transparent: bool


def decode_image(data: bytes, suffix: str) -> tuple[ImageHeader, NDArray[np.uint8]]:
    """Return the header of an image file, and the image in gray: height x width.

    Args:
        data: The contents of the file.
        suffix: The suffix of its name.

    Raises:
        UnusableImageError: The file is truncated, damaged, no image, too large, or cannot be shown in eight
            bits.
        MemoryError: The memory is not enough for an image of this size, which says nothing about the file.
    """
    with _distinguish_memory(data):
        if is_complete(data):
            with suppress(UnusableImageError):  # decode it again with both libraries, to report what is wrong
                return _decode_image(data, suffix, with_pillow=False)
        return _decode_image(data, suffix, with_pillow=True)


def decode_color(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an image file as training reads it: height x width x 3, blue green red.

    Raises:
        UnusableImageError: OpenCV cannot read it, or eight bits cannot show it.
        MemoryError: The memory is not enough.
    """
    with _distinguish_memory(data):
        return _decode_with_opencv(data, cv2.IMREAD_COLOR)


@contextmanager
def _distinguish_memory(data: bytes) -> Iterator[None]:
    """Raise MemoryError where an image cannot be decoded for lack of memory: libraries say it is damaged."""
    try:
        yield
    except UnusableImageError:
        pixels = _count_pixels(data)
        if pixels <= MAX_PIXELS:
            np.empty((pixels, _MAX_CHANNELS), np.uint8)  # raises it
        raise


def _count_pixels(data: bytes) -> int:
    """Return the pixels that the header of an image file states; 0 if it cannot be read."""
    with suppress(Exception), Image.open(io.BytesIO(data), formats=sorted(_PILLOW_FORMATS)) as image:
        return image.width * image.height
    return 0


def _decode_image(data: bytes, suffix: str, *, with_pillow: bool) -> tuple[ImageHeader, NDArray[np.uint8]]:
    header = _read_header(data, suffix, decode=with_pillow)
    if header.depth > 16 or header.mode not in _SUPPORTED_MODES:
        what = f"{header.depth} bits per value" if header.depth > 16 else f"colours as {header.mode}"
        raise UnusableImageError("unsupported-format", f"{what}: convert it to eight bits, red green blue")
    return header, _decode_gray(data, header)


def _read_header(data: bytes, suffix: str, *, decode: bool) -> ImageHeader:
    """Read the header with Pillow; also `decode` the pixels: unlike OpenCV, Pillow notices missing data."""
    try:
        with Image.open(io.BytesIO(data), formats=sorted(_PILLOW_FORMATS)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                reason = f"{width} x {height} pixels: more than {MAX_PIXELS:,} are not decoded; cut it up"
                raise UnusableImageError("giant-image", reason)
            multiple = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
            require_small_tiles(image)
            depth = _bits_per_value(image, data)
            # Pillow turns a TIFF while decoding, and takes the tag away. EXIF of a PNG may follow the pixels.
            turned = image.format == "TIFF" and _is_turned(image)
            if decode:
                image.load()
            turned, transparent = turned or _is_turned(image), _is_transparent(image)
            return ImageHeader(str(image.format), image.mode, depth, multiple, turned, transparent)
    except (UnidentifiedImageError, ModuleNotFoundError):  # Ultralytics patches Pillow to import pi_heif
        raise _unidentified_image_error(data, suffix) from None
    except UnusableImageError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and others
        raise UnusableImageError(classify_decoder_error(error), f"damaged: {error}") from None


def require_small_tiles(image: Image.Image) -> None:
    """Require that the tiles of a TIFF are not far larger than the image: the decoder fills each one whole.

    Raises:
        UnusableImageError: They are.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    pixels = int(image.tag_v2.get(_TILE_WIDTH_TAG, 0)) * int(image.tag_v2.get(_TILE_LENGTH_TAG, 0))
    if pixels > max(_MIN_TILE_PIXELS, 4 * image.width * image.height):
        reason = (
            f"tiles of {pixels:,} pixels in an image of {image.width} x {image.height}: save it without tiles"
        )
        raise UnusableImageError("giant-image", reason)


def _bits_per_value(image: Image.Image, data: bytes) -> int:
    """Return the bits per value; Pillow's mode does not show three values of 16 bits."""
    if image.format == "PNG":
        return data[24]  # in IHDR, which is always the first chunk
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(_BITS_PER_SAMPLE_TAG, (8,))))
    return 16 if image.mode.startswith("I") else 8  # a PGM or a JPEG 2000 with values above 255


def _is_turned(image: Image.Image) -> bool:
    try:
        # The method of PngImageFile would decode the image, since EXIF may follow the pixels.
        exif = Image.Image.getexif(image)
        return exif.get(_ORIENTATION_TAG, 1) in _TURNED_ORIENTATIONS
    except Exception:  # damaged EXIF, which OpenCV ignores
        return False


def _unidentified_image_error(data: bytes, suffix: str) -> UnusableImageError:
    channels = count_tiff_channels(data) or 0
    if channels > _MAX_CHANNELS:
        return UnusableImageError(
            "unsupported-format", f"{channels} channels: convert it to three, red green blue"
        )
    if suffix.lower() in {".heic", ".heif", ".dng"}:
        return UnusableImageError(
            "unsupported-format", f"{suffix[1:]} is not read here: convert it to PNG or JPEG"
        )
    return UnusableImageError("unreadable-image", "not an image that can be read")


def _is_transparent(image: Image.Image) -> bool:
    """Check whether any pixel is transparent; colors of a palette can be, too."""
    if not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema()[0] != 255


def _decode_gray(data: bytes, header: ImageHeader) -> NDArray[np.uint8]:
    if header.format in _GRAY_PLANE_FORMATS and header.mode in _GRAY_PLANE_MODES:
        return _decode_with_opencv(data, cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.cvtColor(decode_color(data), cv2.COLOR_BGR2GRAY), np.uint8)


def _decode_with_opencv(data: bytes, flags: int) -> NDArray[np.uint8]:
    try:
        image = None if has_overlong_chunk(data) else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UnusableImageError(
            "unreadable-image", "OpenCV, with which training reads images, cannot read it"
        )
    if _is_signed(data):
        raise UnusableImageError(
            "unsupported-format",
            "values with a sign, such as Hounsfield units, of which training reads -1 as the brightest: "
            "convert them to eight bits with the window that a reader would choose",
        )
    if image.max(initial=0) <= _MIN_LEVELS:  # of a TIFF OpenCV rounds the upper eight bits
        _require_levels(data)
    return np.asarray(image, np.uint8)


def _is_signed(data: bytes) -> bool:
    """Tell whether a file is a TIFF whose values have a sign, which OpenCV does not heed."""
    if not data.startswith((b"II", b"MM")):
        return False
    with suppress(Exception), Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        tags = getattr(image, "tag_v2", {})
        return _SIGNED_SAMPLES in tags.get(_SAMPLE_FORMAT_TAG, ())
    return False


def _require_levels(data: bytes) -> None:
    """Require that the upper eight bits of an image show it: they are all that training reads.

    Raises:
        UnusableImageError: It has 16 bits per value, and its values are of 12 bits or fewer.
    """
    values = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    highest = int(values.max())
    if values.dtype == np.uint16 and 0 < highest < _MIN_LEVELS << 8:
        reason = (
            f"16 bits per value, and the highest is {highest:,}: the upper eight bits, which training reads, "
            f"have {format_count((highest >> 8) + 1, 'level')}; scale the values to eight bits"
        )
        raise UnusableImageError("sixteen-bit", reason)
