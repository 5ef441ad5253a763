"""Check the key points of an object: which are labelled, and do they lie in the image?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.core.boxes import ROUNDING, Boxes, Finding, Unfit
from pipeline.core.counting import counted


def mend(points: Boxes, size: tuple[int, int], *, count: int) -> tuple[Boxes, list[Finding]]:
    """Return key points (count, 3), those outside the image taken as not labelled, and what was changed.

    Args:
        points: (count, 3) x, y in pixels and visibility; of no length where the object has none.
        size: Width and height of the image in pixels.
        count: Points of a pose.

    Raises:
        Unfit: The object has another number of points.
    """
    if not len(points):
        return np.zeros((count, 3)), [("no-keypoints", "a box without key points")]
    if points.shape != (count, 3):
        raise Unfit("malformed", f"{counted(len(points), 'key point')}, but a pose has {count}")
    placed, lost = place(points, size)
    return placed, _findings(int(lost.sum()), int((placed[:, 2] > 0).sum()))


def place(points: Boxes, size: tuple[int, int]) -> tuple[Boxes, NDArray[np.bool_]]:
    """Return key points (..., 3), those outside the image not labelled; and (...) which of them those are.

    Args:
        points: (..., 3) x, y in pixels and visibility.
        size: Width and height of the image in pixels.
    """
    limits, given = np.array(size, np.float64), points[..., 2] > 0
    excess = np.maximum(-points[..., :2], points[..., :2] - limits).max(axis=-1)  # NaN is not within
    seen = given & (excess <= ROUNDING)
    clipped = np.clip(np.where(seen[..., None], points[..., :2], 0), 0, limits)
    visibility = np.where(seen, np.clip(np.round(np.where(seen, points[..., 2], 0)), 1, 2), 0)
    return np.concatenate([clipped, visibility[..., None]], axis=-1), given & ~seen


def _findings(hidden: int, seen: int) -> list[Finding]:
    found: list[Finding] = []
    if hidden:
        found.append(
            ("hidden-point", f"{counted(hidden, 'key point')} outside the image: taken as not labelled")
        )
    if not seen:
        found.append(("no-keypoints", "none of its key points is labelled"))
    return found
