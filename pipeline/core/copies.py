"""One augmented copy on paper: which recipe, where its boxes go, which objects keep their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.core import geometry, recipes
from pipeline.core.labels import Labels, from_xyxy, to_xyxy
from pipeline.core.recipes import Ranges, Recipe

ATTEMPTS = 50
"""Recipes drawn for a copy before it goes without rotation, scale and crop, and so loses no object."""

ROUNDING = 1e-9

SIDE = 0.49
"""Pixels: a thinner box is none; half a pixel as in core.boxes, less what six decimals round."""


@dataclass(frozen=True)
class Rules:
    """What holds for every copy.

    Args:
        ranges: What may be drawn.
        visible: An object keeps its label where at least this share (0..1) of its box stays in the image.
        seed: Of the whole iteration.
    """

    ranges: Ranges
    visible: float
    seed: int


@dataclass(frozen=True)
class Draft:
    """A copy before a pixel is touched.

    Args:
        seed: What the recipe and the noise are drawn from.
        recipe: The drawn values.
        labels: Of the objects that keep theirs.
        dropped: Number of objects that do not.
    """

    seed: int
    recipe: Recipe
    labels: Labels
    dropped: int


def draft(labels: Labels, extent: tuple[int, int], *, rules: Rules, source: str, number: int) -> Draft:
    """Draw recipes until one suits the image: it changes something, and hides nothing that can still be seen.

    A copy in which every object is cut below `visible`, yet something of one is left, would teach that the
    rest of an object is background. It is drawn anew. One that shows no part of any object is background.

    Args:
        labels: Of the source image.
        extent: Width and height of the source image, in pixels.
        rules: What holds for every copy.
        source: The source image's name, which with `number` and the seed decides everything.
        number: Which copy of this source, from 1.
    """
    for attempt in range(ATTEMPTS):
        seed = recipes.copy_seed(rules.seed, source, number, attempt)
        recipe = recipes.draw(rules.ranges, seed)
        kept, hidden = _follow(labels, extent, recipe, rules.visible)
        if recipe.applied and (len(kept) or not hidden):
            return Draft(seed, recipe, kept, len(labels) - len(kept))
    seed = recipes.copy_seed(rules.seed, source, number, ATTEMPTS)
    recipe = recipes.draw(replace(rules.ranges, rotate=0.0, scale=0.0, crop=0.0), seed)
    kept, _ = _follow(labels, extent, recipe, rules.visible)
    return Draft(seed, recipe, kept, len(labels) - len(kept))


def _follow(labels: Labels, extent: tuple[int, int], recipe: Recipe, visible: float) -> tuple[Labels, bool]:
    """Move labels; return those that stay, and whether an object without label may still be seen."""
    boxes = geometry.clip(to_xyxy(labels.boxes, *extent), *extent)  # six decimals may stick out
    moved = geometry.matrix(recipe, *extent)
    ellipses = geometry.move(boxes, moved)
    clipped = geometry.clip(ellipses, *extent)
    keep = (geometry.shares(ellipses, clipped) >= visible - ROUNDING) & _seen(clipped, pixels=SIDE)
    kept = Labels(labels.classes[keep], from_xyxy(clipped[keep], *extent))
    rest = geometry.clip(geometry.hull(boxes[~keep], moved), *extent)
    return kept, bool(_seen(rest, pixels=ROUNDING).any())


def _seen(boxes: NDArray[np.float64], *, pixels: float) -> NDArray[np.bool_]:
    """Tell which boxes are wider and higher than `pixels`."""
    return np.asarray(np.all(boxes[:, 2:] - boxes[:, :2] > pixels, axis=1), np.bool_)
