"""Plan one augmented copy: its parameters, its labels, and which objects lose theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from pipeline.augment.affine import build_affine_matrix
from pipeline.augment.copy_paste import PasteSettings
from pipeline.augment.parameters import (
    AugmentationParameters,
    AugmentationRanges,
    derive_copy_seed,
    draw_parameters,
    order_flips,
)
from pipeline.augment.transform_labels import select_visible_labels, transform_labels
from pipeline.core.tasks import Keypoints, Task
from pipeline.dataset.labels import ImageLabels

MAX_ATTEMPTS = 50
"""Changes drawn for a copy before rotation, scale and crop are left out, so that it loses no object."""
MAX_DRAWS = 10_000
"""Parameters drawn until they change something: with small probabilities, most of them do not."""


@dataclass(frozen=True)
class CopyRules:
    """Settings that hold for every copy.

    Args:
        ranges: What parameters are drawn from.
        visible: An object keeps its label if at least this share (0..1) of its area stays in the image: the
            area of its outline, of its rotated box, or of its box. An image's class always stays.
        seed: The run's seed.
        task: The task of the labels.
        keypoints: The points of a pose; None for other tasks.
        pasting: What is pasted into copies; None for nothing.
    """

    ranges: AugmentationRanges
    visible: float
    seed: int
    task: Task = "detect"
    keypoints: Keypoints | None = None
    pasting: PasteSettings | None = None


@dataclass(frozen=True)
class PlannedCopy:
    """Parameters and labels of a copy, before pixels are transformed.

    Args:
        seed: The seed of the parameters and of the noise.
        parameters: The drawn values.
        labels: Labels of the objects that keep theirs.
        dropped: Number of objects that lose their label.
    """

    seed: int
    parameters: AugmentationParameters
    labels: ImageLabels
    dropped: int


def plan_copy(
    labels: ImageLabels, extent: tuple[int, int], *, rules: CopyRules, source: str, number: int
) -> PlannedCopy:
    """Draw parameters until they change something and leave no visible object without a label.

    A copy in which every object is cut below `visible`, but some part of one is left, would teach that this
    part is background. Its parameters are drawn again. A copy that shows no part of any object is background.

    Args:
        labels: Labels of the source image.
        extent: Width and height of the source image, in pixels.
        rules: Settings of every copy.
        source: The source image's name; with `number` and the seed it decides everything.
        number: Number of the copy of this source, from 1.
    """
    seeds = partial(derive_copy_seed, rules.seed, source, number)
    ranges = rules.ranges
    if (ranges.fliplr or ranges.flipud) and not ranges.can_change_more_than_flips:
        flips = order_flips(ranges.fliplr, ranges.flipud, derive_copy_seed(rules.seed, source, 0))
        parameters = flips[(number - 1) % len(flips)]  # drawn one by one, copies would be alike
        visible, _ = _transform_visible_labels(labels, extent, parameters, rules)
        return PlannedCopy(seeds(0), parameters, visible, len(labels) - len(visible))
    first = 0
    for _ in range(MAX_ATTEMPTS):
        attempt, seed, parameters = _draw_change(rules.ranges, seeds, first)
        visible, has_hidden = _transform_visible_labels(labels, extent, parameters, rules)
        if parameters.applied and (len(visible) or not has_hidden):
            return PlannedCopy(seed, parameters, visible, len(labels) - len(visible))
        first = attempt + 1
    _, seed, parameters = _draw_change(replace(rules.ranges, rotate=0.0, scale=0.0, crop=0.0), seeds, first)
    visible, _ = _transform_visible_labels(labels, extent, parameters, rules)
    return PlannedCopy(seed, parameters, visible, len(labels) - len(visible))


def _draw_change(
    ranges: AugmentationRanges, seeds: Callable[[int], int], first: int
) -> tuple[int, int, AugmentationParameters]:
    """Draw parameters until they change something; return the number of the draw, its seed, and them.

    Nothing is changed where the ranges cannot change anything, or where that is as good as impossible.
    """
    for attempt in range(first, MAX_DRAWS):
        parameters = draw_parameters(ranges, seeds(attempt))
        if parameters.applied:
            return attempt, seeds(attempt), parameters
        if not (ranges.fliplr or ranges.flipud or ranges.can_change_more_than_flips):
            break
    return first, seeds(first), AugmentationParameters()


def _transform_visible_labels(
    labels: ImageLabels, extent: tuple[int, int], parameters: AugmentationParameters, rules: CopyRules
) -> tuple[ImageLabels, bool]:
    """Transform labels; return those that stay, and whether an object without label may still be visible."""
    matrix = build_affine_matrix(parameters, *extent)
    flip = rules.keypoints.flip if rules.keypoints else ()
    transformed = transform_labels(labels, extent, matrix, task=rules.task, flip=flip)
    return select_visible_labels(transformed, rules.visible)
