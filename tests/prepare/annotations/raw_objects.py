"""Build raw objects for tests of their check, conversion and repair."""

from __future__ import annotations

import math

import numpy as np

from pipeline.core.annotations import RawObjects

SIZE = (100, 80)
"""Width and height of the image."""
SQUARE = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])
NAN = float("nan")


def rotate_rectangle(width, height, degrees, center=(50.0, 40.0)):
    """Return the corners of a rectangle that is rotated about its center."""
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return corners @ rotation + center


def build_raw_objects(*outlines: np.ndarray, keypoints=()) -> RawObjects:
    """Build objects of class 0, each with one outline and its box."""
    boxes = [[*part.min(axis=0), *part.max(axis=0)] for part in outlines]
    marks = tuple(f"object {number}" for number in range(len(outlines)))
    parts = tuple((part,) for part in outlines)
    return RawObjects(np.zeros(len(outlines), np.int64), np.array(boxes), marks, parts, keypoints)
