"""Build the shapes of Supervisely objects: rectangle, polygon, bitmap."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.core.text import format_count
from pipeline.source.reading.shapes import (
    Shape,
    build_box,
    build_outline,
    parse_coordinate,
    parse_points,
    parse_ring,
)
from pipeline.source.reading.trace_mask import trace_mask_outline

_MAX_MASK_BYTES: Final = 64_000_000
"""A larger PNG of a bitmap is a mistake, or an attack on memory."""
_MAX_MASK_PIXELS: Final = 100_000_000


def build_object_shape(row: Mapping[str, Any]) -> Shape:
    """Build the shape of one object.

    Raises:
        ValueError: It has no area, or cannot be read.
    """
    kind = str(row.get("geometryType") or "")
    if kind == "bitmap" or (not kind and isinstance(row.get("bitmap"), dict)):
        return _trace_bitmap(row.get("bitmap"))
    points = row.get("points")
    if not isinstance(points, dict):
        raise ValueError(f"a {kind[:40] or 'shape'} without points")
    if kind == "rectangle":
        corners = parse_points(points.get("exterior"))
        if len(corners) != 2:
            raise ValueError(f"a rectangle of {format_count(len(corners), 'point')}, not two")
        return build_box([*corners.min(axis=0), *corners.max(axis=0)])
    if kind in {"polygon", ""}:
        holes = points.get("interior")
        return build_outline(
            parse_ring(points.get("exterior")), holes=len(holes) if isinstance(holes, list) else 0
        )
    raise ValueError(f"a {kind[:40]}, which has no area")


def _trace_bitmap(bitmap: Any) -> Shape:
    """Outline a bitmap: a PNG, compressed once more, in base64; its first pixel is at `origin`."""
    origin = bitmap.get("origin") if isinstance(bitmap, dict) else None
    if not isinstance(origin, list) or len(origin) != 2:
        raise ValueError("a bitmap without data or origin")
    left, top = (round(parse_coordinate(value)) for value in origin)
    try:
        decoder = zlib.decompressobj()
        png = decoder.decompress(base64.b64decode(bitmap.get("data"), validate=True), _MAX_MASK_BYTES)
    except (TypeError, ValueError, binascii.Error, zlib.error):
        raise ValueError("a bitmap that is no compressed base64") from None
    return trace_mask_outline(_decode_bitmap(png), left=left, top=top)


def _decode_bitmap(png: bytes) -> NDArray[np.uint8]:
    """Decode a PNG to 1 for object and 0 for background; the alpha channel counts if there is one.

    Raises:
        ValueError: It is no PNG, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.width * image.height > _MAX_MASK_PIXELS:
                raise ValueError(f"more than {_MAX_MASK_PIXELS:,} pixels")
            has_alpha = image.mode in {"RGBA", "LA"}
            pixels = np.array(image.getchannel("A") if has_alpha else image)
    except Exception as error:  # decoders raise any type: OSError, SyntaxError, struct.error, ...
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)[:80]
        raise ValueError(f"a bitmap that is no image ({reason})") from None
    return np.asarray((pixels.reshape(*pixels.shape[:2], -1) > 0).any(axis=2), np.uint8)
