"""Compare two models on the classes that both know: how much of the first one's the second one forgot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.bootstrap import (
    Interval,
    average_drawn,
    compute_interval,
    count_groups_with_objects,
    resample_images,
)
from pipeline.evaluate.metrics.matching import DetectionTable

_DIGITS: Final = 5
ABSENT: Final = -1
"""In place of a class that is not shared."""
_DIFFERENCES: Final = (-1.0, 1.0)
"""The limits of a difference of shares."""


class Resamples(NamedTuple):
    """How test images are drawn again, the same for both models.

    Attributes:
        groups: (images,) index of each image's group, as in `bootstrap.resample_images`.
        times: Number of resamples; 0: the difference has no bounds.
        seed: Of the draws.
    """

    groups: IntArray
    times: int
    seed: int


class SharedClasses(NamedTuple):
    """The classes that two models and a dataset have in common, by their names.

    Attributes:
        names: As the dataset spells them.
        of_data: (classes of the dataset,) the index in `names`, or `ABSENT`.
        of_first: (classes of the first model,) likewise.
        of_second: (classes of the second model,) likewise.
    """

    names: tuple[str, ...]
    of_data: IntArray
    of_first: IntArray
    of_second: IntArray


def find_shared_classes(data: Sequence[str], first: Sequence[str], second: Sequence[str]) -> SharedClasses:
    """Find the classes of a dataset that two models know; upper and lower case are the same.

    Args:
        data: The class names of the dataset by index.
        first: Those of the first model.
        second: Those of the second model.
    """
    known = {name.casefold() for name in first} & {name.casefold() for name in second}
    names = tuple(dict.fromkeys(name for name in data if name.casefold() in known))
    places = {name.casefold(): place for place, name in enumerate(names)}
    maps = (
        np.array([places.get(name.casefold(), ABSENT) for name in each], np.int64)
        for each in (data, first, second)
    )
    return SharedClasses(names, *maps)


def select_shared_objects(truth: GroundTruth, places: IntArray) -> GroundTruth:
    """Return the objects of shared classes, which are numbered anew by `places`."""
    classes = places[truth.classes]
    kept = classes != ABSENT
    return GroundTruth(
        truth.boxes[kept],
        classes[kept],
        tuple(outline for outline, keep in zip(truth.outlines, kept, strict=False) if keep),
        None if truth.keypoints is None else truth.keypoints[kept],
    )


def select_shared_detections(found: Detections, places: IntArray) -> Detections:
    """Return the detections of shared classes, which are numbered anew by `places`."""
    classes = places[found.classes]
    selected = found.select(classes != ABSENT)
    return selected._replace(classes=places[selected.classes])


def select_shared_guess(probabilities: FloatArray, places: IntArray) -> int:
    """Return the most probable shared class, numbered anew by `places`, given probabilities (classes,)."""
    return int(places[np.where(places == ABSENT, -np.inf, probabilities).argmax()])


def compare_guesses(
    guesses: tuple[IntArray, IntArray], truth: IntArray, names: Sequence[str], resamples: Resamples
) -> dict[str, Any]:
    """Compare the top-1 of two models on the same images.

    Args:
        guesses: (images,) the class that each model finds the most probable.
        truth: (images,) the class of each image.
        names: The classes.
        resamples: Of the images.

    Returns:
        As `compare_tables`; of a class, the share of its images that is right.
    """
    right = [(each == truth).astype(np.float64) for each in guesses]
    drawn, gain = average_drawn(*resamples[:2], seed=resamples.seed), right[1] - right[0]
    count = len(np.unique(resamples.groups))
    interval = compute_interval(float(gain.mean()), drawn @ gain, groups=count, limits=_DIFFERENCES)
    counted = np.bincount(truth, minlength=len(names))
    return {
        **_describe_difference([float(each.mean()) for each in right], interval),
        "images": len(truth),
        "objects": len(truth),
        "per_class": {
            names[cls]: {
                "base": round(float(right[0][truth == cls].mean()), 5),
                "finetuned": round(float(right[1][truth == cls].mean()), 5),
                "objects": int(counted[cls]),
            }
            for cls in np.flatnonzero(counted).tolist()
        },
    }


def compare_tables(
    first: DetectionTable, second: DetectionTable, names: Sequence[str], resamples: Resamples
) -> dict[str, Any]:
    """Compare the mAP50-95 of two models on the same images.

    Args:
        first: The matched detections of the first model.
        second: Those of the second one, on the same images in the same order.
        names: The classes.
        resamples: Of the images.

    Returns:
        base, finetuned, difference with its 95% interval if there are resamples, and a row per class with
        objects.
    """
    drawn = resample_images(*resamples[:2], seed=resamples.seed)
    drawn = drawn[(drawn @ first.objects).any(axis=1)]
    values = [compute_average_precisions(table)[0] for table in (first, second)]
    means = [float(compute_mean_ap(aps[None])[0]) for aps in values]
    spread: FloatArray = np.zeros(0)
    if len(drawn):
        again = [compute_mean_ap(compute_average_precisions(table, drawn)) for table in (first, second)]
        spread = again[1] - again[0]
    count = count_groups_with_objects(first, resamples.groups)
    interval = compute_interval(means[1] - means[0], spread, groups=count, limits=_DIFFERENCES)
    counted = first.objects.sum(axis=0)
    return {
        **_describe_difference(means, interval),
        "images": len(first.objects),
        "objects": int(counted.sum()),
        "per_class": {
            names[cls]: {
                "base": round(float(values[0][cls].mean()), 5),
                "finetuned": round(float(values[1][cls].mean()), 5),
                "objects": int(counted[cls]),
            }
            for cls in np.flatnonzero(counted).tolist()
        },
    }


def _describe_difference(means: Sequence[float], interval: Interval) -> dict[str, float]:
    return {
        "base": round(means[0], _DIGITS),
        "finetuned": round(means[1], _DIGITS),
        **interval.name_bounds("difference", _DIGITS),
    }
