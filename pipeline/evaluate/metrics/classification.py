"""The evaluation of a classification: how often the first, or one of the first five, classes is right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics.bootstrap import Interval, interval, resample
from pipeline.evaluate.metrics.detection import rounded
from pipeline.evaluate.metrics.matching import IOUS, DetectionTable
from pipeline.evaluate.metrics.thresholds import average

FIRST: Final = 5
"""So many classes of each image are looked at, the likeliest ones; the rest of a thousand is not kept."""


class ClassScores(NamedTuple):
    """What images are, and what a model takes them for.

    Attributes:
        truth: (images,) the class of each image.
        classes: (images, k) the likeliest classes, at most five, the likeliest first.
        scores: (images, k) their probabilities.
    """

    truth: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]

    def part(self, images: slice) -> ClassScores:
        """Return some of the images."""
        return ClassScores(self.truth[images], self.classes[images], self.scores[images])


@dataclass(frozen=True)
class ClassificationResult:
    """What was measured on the test split.

    Args:
        names: Class names by index.
        guessed: What the images are, and are taken for.
        top1: Share of the images whose first guess is right.
        top5: Share of the images with the right class among the first five.
    """

    names: tuple[str, ...]
    guessed: ClassScores
    top1: Interval
    top5: Interval


def guess(probabilities: Iterable[NDArray[np.float64]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the likeliest classes of each image and their scores, given its probabilities (classes,)."""
    classes, scores = [], []
    for row in probabilities:
        first = np.argsort(-row, kind="stable")[:FIRST]
        classes.append(first)
        scores.append(row[first])
    return np.array(classes, np.int64).reshape(len(classes), -1), np.array(scores).reshape(len(scores), -1)


def classify(
    guessed: ClassScores, names: tuple[str, ...], *, resamples: int, seed: int
) -> ClassificationResult:
    """Measure the guesses about the images of a split, one or more.

    Args:
        guessed: What the images are, and are taken for.
        names: Class names by index.
        resamples: Of the images behind the 95% intervals; 0: none.
        seed: Of the resamples.
    """
    right = guessed.classes == guessed.truth[:, None]
    drawn = resample(len(right), resamples, seed=seed) / len(right)
    top1, top5 = (
        interval(float(hits.mean()), drawn @ hits)
        for hits in (right[:, 0].astype(np.float64), right.any(axis=1).astype(np.float64))
    )
    return ClassificationResult(names, guessed, top1, top5)


def figures(found: ClassificationResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    test: dict[str, float | str] = {}
    for name, share in (("top1", found.top1), ("top5", found.top5)):
        test |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
    per_class = _per_class(found)
    for name in ("precision", "recall", "F1"):
        column = [row[name] for row in per_class.values()]
        test[name] = float(average(np.array(column, np.float64)[None])[0])
    test |= {"images": len(found.guessed.truth)}
    return {"test": rounded(test), "per_class": {name: rounded(row) for name, row in per_class.items()}}


def confusions(found: ClassificationResult) -> NDArray[np.int64]:
    """Count (classes, classes) actual against first guess."""
    count = len(found.names)
    pairs = found.guessed.truth * count + found.guessed.classes[:, 0]
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def rank(found: ClassificationResult) -> list[int]:
    """Return the images that are taken for the wrong class, the surest first."""
    truth, classes, scores = found.guessed
    wrong = np.flatnonzero(classes[:, 0] != truth)
    order: list[int] = wrong[np.argsort(-scores[wrong, 0], kind="stable")].tolist()
    return order


def tabulate(found: ClassificationResult) -> DetectionTable:
    """Take each guess for a detection, each image for an object of its class: a class against the rest."""
    truth, classes, scores = found.guessed
    order = np.argsort(-scores.ravel(), kind="stable")
    hits = (classes == truth[:, None]).ravel()[order]
    return DetectionTable(
        images=np.repeat(np.arange(len(truth)), classes.shape[1])[order],
        classes=classes.ravel()[order],
        scores=scores.ravel()[order],
        hits=np.repeat(hits[:, None], len(IOUS), axis=1),
        void=np.zeros((len(order), len(IOUS)), bool),
        objects=(truth[:, None] == np.arange(len(found.names))).astype(np.int64),
    )


def _per_class(found: ClassificationResult) -> dict[str, dict[str, float | str]]:
    matrix = confusions(found)
    right, actual, called = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        found.names[cls]: {
            "precision": float(right[cls] / max(1, called[cls])),
            "recall": float(right[cls] / actual[cls]),
            "F1": float(2 * right[cls] / (actual[cls] + called[cls])),
            "images": int(actual[cls]),
        }
        for cls in np.flatnonzero(actual)
    }
