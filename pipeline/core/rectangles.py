"""Check an object's rotated box: four corners, a rectangle, in the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely

from pipeline.core.boxes import ROUNDING, Boxes, Finding, Unfit, text
from pipeline.core.conversion import rectangle
from pipeline.core.corners import shrink
from pipeline.core.polygons import FARTHEST

FILLED: Final = 0.8
"""Share of the smallest rectangle around them that four corners must enclose to pass for a rectangle."""
EXACT: Final = 0.999
"""From this share on, the corners stay as they are: less is how a format rounds."""


def mend(parts: Sequence[Boxes], size: tuple[int, int]) -> tuple[Boxes, list[Finding]]:
    """Return the four corners (4, 2) of a rectangle whose visible part fills it, and what was changed.

    A rectangle that is cut by the image's border keeps its direction and shrinks to what is visible; its
    corners may lie outside the image.

    Args:
        parts: One part of four corners, x and y in pixels.
        size: Width and height of the image in pixels.

    Raises:
        Unfit: There are no corners, coordinates that are no numbers, no area, or it lies outside.
    """
    corners = np.concatenate(parts) if parts else np.zeros((0, 2))
    if not np.isfinite(corners).all() or np.abs(corners).max(initial=0) > FARTHEST:
        raise Unfit("no-number", f"coordinates that are no numbers, or beyond any image: {text(corners)}")
    if len(corners) < 3:
        raise Unfit("few-points", f"a rotated box needs four corners: {text(corners)}")
    fitted, found = _fitted(corners)
    if (fitted >= 0).all() and (fitted <= size).all():
        return fitted, found
    visible = shapely.intersection(shapely.Polygon(fitted), shapely.box(0, 0, *size))
    if visible.area < ROUNDING**2:
        raise Unfit("outside", f"outside the image of {size[0]} x {size[1]} pixels: {text(corners)}")
    shrunk = shrink(fitted, np.array(visible.exterior.coords[:-1]), size)
    if np.abs(shrunk - fitted).max() <= ROUNDING:
        return fitted, found
    found.append(("clipped", f"shrunk to what the image of {size[0]} x {size[1]} pixels shows of it"))
    return shrunk, found


def _fitted(corners: Boxes) -> tuple[Boxes, list[Finding]]:
    """Return the corners if they are a rectangle's, or else the smallest rectangle around them."""
    around = rectangle(corners)
    if around is None or min(_sides(around)) < ROUNDING:
        raise Unfit("no-area", f"no area: {text(corners)}")
    share = shapely.Polygon(corners).area / shapely.Polygon(around).area
    if len(corners) == 4 and share > EXACT:
        return corners, []
    if len(corners) == 4 and share > FILLED:
        return around, []
    return around, [("no-rectangle", f"no rectangle: taken as the smallest one around {text(corners)}")]


def _sides(corners: Boxes) -> tuple[float, float]:
    return float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[3] - corners[0]))
