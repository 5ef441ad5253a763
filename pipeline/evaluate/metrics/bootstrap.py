"""Bootstrap confidence intervals of metrics, over test images that are resampled in groups of near copies."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.metric_names import HIGH, LOW, MAP50, MAP50_95
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import DetectionTable

INTERVAL_LEVEL: Final = 95
"""Percent of the resamples inside an interval; as many lie below it as above."""
_EQUAL: Final = 1e-9
"""Resamples that differ by less are equal."""


@dataclass(frozen=True)
class Interval:
    """A metric and the bounds of its 95% interval, which are None without resamples."""

    value: float
    low: float | None
    high: float | None

    def name_bounds(self, name: str, digits: int | None = None) -> dict[str, float]:
        """Return the value and its bounds, if any, as metrics.json names them: top1, top1_low, top1_high.

        Args:
            name: Of the metric.
            digits: Decimals to round to; None for all.
        """
        named = {name: self.value, name + LOW: self.low, name + HIGH: self.high}
        return {
            key: value if digits is None else round(value, digits)
            for key, value in named.items()
            if value is not None
        }


def number_groups(names: Sequence[Hashable]) -> IntArray:
    """Return the index (images,) of each image's group, in the order in which the groups appear."""
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], np.int64)


def resample_images(groups: IntArray, times: int, *, seed: int) -> IntArray:
    """Draw as many groups as there are, with replacement, `times` times.

    Near copies, and frames of one video, say nothing that the first of them has not said: drawn one by one,
    they would make an interval that is too narrow.

    Args:
        groups: (images,) index of each image's group, from 0 and without gaps.
        times: Number of resamples.
        seed: Of the draws.

    Returns:
        (times, images) how often each image was drawn: as often as its group.
    """
    count = int(groups.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=times)
    return drawn.astype(np.int64, copy=False)[:, groups]


def average_drawn(groups: IntArray, times: int, *, seed: int) -> FloatArray:
    """Return weights (times, images) that give the mean over the images of each resample."""
    drawn = resample_images(groups, times, seed=seed)
    weights: FloatArray = drawn / drawn.sum(axis=1, keepdims=True)
    return weights


def compute_map_intervals(
    table: DetectionTable, groups: IntArray, *, times: int, seed: int
) -> dict[str, Interval]:
    """Compute mAP50-95 and mAP50 with their 95% intervals (percentiles; Efron and Tibshirani 1993, 13.3).

    A class without any object in a resample is left out of its mean, as it is in the metric itself.

    Args:
        table: The matched detections of the split.
        groups: (images,) as in `resample_images`.
        times: Resamples; with 0 there are no bounds.
        seed: Of the draws.
    """
    drawn = resample_images(groups, times, seed=seed)
    drawn = drawn[(drawn @ table.objects).any(axis=1)]  # without one object there is nothing to average
    aps, values = compute_average_precisions(table, drawn), compute_average_precisions(table)
    count = count_groups_with_objects(table, groups)
    return {
        name: compute_interval(
            compute_mean_ap(values[..., kept])[0], compute_mean_ap(aps[..., kept]), groups=count
        )
        for name, kept in ((MAP50_95, slice(None)), (MAP50, slice(1)))
    }


def count_groups_with_objects(table: DetectionTable, groups: IntArray) -> int:
    """Count the groups of images on which mAP rests: those with an object."""
    return len(np.unique(groups[table.objects.any(axis=1)]))


def compute_interval(
    value: float, drawn: FloatArray, *, groups: int, limits: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """Return a metric with its 95% interval.

    Where all n groups have equal outcomes, the resamples have no spread, and say nothing of what was not
    seen: a share x of other outcomes may exist as long as (1 - x)^n is not below 2.5% ("rule of three").

    Args:
        value: Of the metric.
        drawn: (times,) the metric of each resample; with none there are no bounds.
        groups: Number of groups that the metric rests on.
        limits: The least and the largest value that the metric can have.
    """
    if not len(drawn):
        return Interval(float(value), None, None)
    tail = 50 - INTERVAL_LEVEL / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    if len(drawn) > 1 and np.ptp(drawn) < _EQUAL:
        unseen = 1 - (tail / 100) ** (1 / max(1, groups))
        low, high = (value + (limit - value) * unseen for limit in limits)
    return Interval(float(value), float(low), float(high))
