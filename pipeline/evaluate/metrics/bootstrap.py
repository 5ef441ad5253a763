"""Bootstrap confidence intervals of metrics, over resampled test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.metric_names import HIGH, LOW, MAP50, MAP50_95
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import DetectionTable

INTERVAL_LEVEL: Final = 95
"""Percent of the resamples inside an interval; as many lie below it as above."""


@dataclass(frozen=True)
class Interval:
    """A metric and the bounds of its 95% interval."""

    value: float
    low: float
    high: float

    def name_bounds(self, name: str) -> dict[str, float | str]:
        """Return the value and its bounds under the names of metrics.json: top1, top1_low, top1_high."""
        return {name: self.value, name + LOW: self.low, name + HIGH: self.high}


def resample(images: int, times: int, *, seed: int) -> IntArray:
    """Draw `images` images with replacement, `times` times: (times, images) how often each was drawn."""
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=times)
    return drawn.astype(np.int64, copy=False)


def compute_map_intervals(table: DetectionTable, *, times: int, seed: int) -> dict[str, Interval]:
    """Compute mAP50-95 and mAP50 with their 95% intervals (percentiles; Efron and Tibshirani 1993, 13.3).

    A class without any object in a resample is left out of its mean, as it is in the metric itself.

    Args:
        table: The matched detections of the split.
        times: Resamples; with 0 the bounds equal the value.
        seed: Of the draws.
    """
    drawn = resample(len(table.objects), times, seed=seed)
    drawn = drawn[(drawn @ table.objects).any(axis=1)]  # without one object there is nothing to average
    aps, values = compute_average_precisions(table, drawn), compute_average_precisions(table)
    return {
        MAP50_95: compute_interval(compute_mean_ap(values)[0], compute_mean_ap(aps)),
        MAP50: compute_interval(compute_mean_ap(values[:, :, :1])[0], compute_mean_ap(aps[:, :, :1])),
    }


def compute_interval(value: float, drawn: FloatArray) -> Interval:
    """Return a metric with its 95% interval, given the metric of each resample (times,)."""
    bounds = [50 - INTERVAL_LEVEL / 2, 50 + INTERVAL_LEVEL / 2]
    low, high = np.percentile(drawn, bounds) if len(drawn) else (value, value)
    return Interval(float(value), float(low), float(high))
