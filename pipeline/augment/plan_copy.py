"""One augmented copy on paper: which recipe, where its objects go, which of them keep their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.augment import affine, parameters
from pipeline.augment.copy_paste import PasteSettings
from pipeline.augment.parameters import AugmentationParameters, AugmentationRanges, copy_seed
from pipeline.augment.transform_labels import follow, keep
from pipeline.core.tasks import Keypoints, Task
from pipeline.dataset.labels import ImageLabels

ATTEMPTS = 50
"""Recipes drawn for a copy before it goes without rotation, scale and crop, and so loses no object."""


@dataclass(frozen=True)
class CopyRules:
    """What holds for every copy.

    Args:
        ranges: What may be drawn.
        visible: An object keeps its label where at least this share (0..1) of it stays in the image: of its
            outline's area, of its rotated box's, or of its box's. An image's class always stays.
        seed: Of the whole iteration.
        task: What the labels are for.
        keypoints: The points of a pose; None for other tasks.
        pasting: What is pasted into copies; nothing where None.
    """

    ranges: AugmentationRanges
    visible: float
    seed: int
    task: Task = "detect"
    keypoints: Keypoints | None = None
    pasting: PasteSettings | None = None


@dataclass(frozen=True)
class PlannedCopy:
    """A copy before a pixel is touched.

    Args:
        seed: What the recipe and the noise are drawn from.
        recipe: The drawn values.
        labels: Of the objects that keep theirs.
        dropped: Number of objects that do not.
    """

    seed: int
    recipe: AugmentationParameters
    labels: ImageLabels
    dropped: int


def draft(
    labels: ImageLabels, extent: tuple[int, int], *, rules: CopyRules, source: str, number: int
) -> PlannedCopy:
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
        seed = copy_seed(rules.seed, source, number, attempt)
        recipe = parameters.draw(rules.ranges, seed)
        kept, hidden = _follow(labels, extent, recipe, rules)
        if recipe.applied and (len(kept) or not hidden):
            return PlannedCopy(seed, recipe, kept, len(labels) - len(kept))
    seed = copy_seed(rules.seed, source, number, ATTEMPTS)
    recipe = parameters.draw(replace(rules.ranges, rotate=0.0, scale=0.0, crop=0.0), seed)
    kept, _ = _follow(labels, extent, recipe, rules)
    return PlannedCopy(seed, recipe, kept, len(labels) - len(kept))


def _follow(
    labels: ImageLabels, extent: tuple[int, int], recipe: AugmentationParameters, rules: CopyRules
) -> tuple[ImageLabels, bool]:
    """Move labels; return those that stay, and whether an object without label may still be seen."""
    moved = affine.matrix(recipe, *extent)
    flip = rules.keypoints.flip if rules.keypoints else ()
    return keep(follow(labels, extent, moved, task=rules.task, flip=flip), rules.visible)
