"""How far the test images alone could have moved a figure: percentile intervals over resampled images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics.average_precision import average_precisions, mean
from pipeline.evaluate.metrics.matching import DetectionTable


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds of its 95% interval."""

    value: float
    low: float
    high: float


def resample(images: int, times: int, *, seed: int) -> NDArray[np.int64]:
    """Draw `images` images with replacement, `times` times: (times, images) how often each was drawn."""
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=times)
    return drawn.astype(np.int64, copy=False)


def intervals(table: DetectionTable, *, times: int, seed: int) -> dict[str, Interval]:
    """Return mAP50-95 and mAP50 with their 95% intervals (percentiles; Efron and Tibshirani 1993, 13.3).

    A class without any object in a resample is left out of its mean, as it is in the figure itself.

    Args:
        table: The matched detections of the split.
        times: Resamples; with 0 the bounds are the figure itself.
        seed: Of the draws.
    """
    drawn = resample(len(table.objects), times, seed=seed)
    drawn = drawn[(drawn @ table.objects).any(axis=1)]  # without one object there is nothing to average
    aps, values = average_precisions(table, drawn), average_precisions(table)
    return {
        "mAP50-95": interval(mean(values)[0], mean(aps)),
        "mAP50": interval(mean(values[:, :, :1])[0], mean(aps[:, :, :1])),
    }


def interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """Return a figure with its 95% interval, given the figure of each resample (times,)."""
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (value, value)
    return Interval(float(value), float(low), float(high))
