"""Choose on val from which score on a detection becomes a pseudo-label, and from which on it is uncertain.

One threshold for all classes would give labels of frequent classes only, or wrong ones of rare classes. A
class has labels from the lowest score at which enough of its detections on val are right; a class that never
reaches that gets none.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.evaluate.metrics.matching import DetectionTable

FOUND_SHARE: Final = 0.95
"""Share of the objects found on val that a class has at or above the score from which it is uncertain."""
ALLOWANCE: Final = 0.1
"""Wrong detections that are added to those of val, as a share of the least number of detections."""
LOWEST_SCORE: Final = 0.25
"""No detection below becomes a label, however few wrong ones val has: the default of Ultralytics' predict."""
CAUTIOUS_SCORE: Final = 0.1
"""Detections from here on are uncertain where val has too few objects of their class to say more."""


class PseudoLabelRule(NamedTuple):
    """What pseudo-labels must be worth on val.

    Attributes:
        precision: Least share of the labels of a class that are right, 0 to 1.
        recall: Least share of the objects that have a label, in images that get labels, 0 to 1.
        least: Least number of detections on val from which a threshold is chosen.
    """

    precision: float = 0.9
    recall: float = 0.8
    least: int = 20


class ScoredDetections(NamedTuple):
    """Detections on val, or of classify the most probable class of each image.

    Attributes:
        classes: (d,) class indices.
        scores: (d,) scores, 0 to 1.
        right: (d,) whether it matched an object of its class at an IoU (mask IoU, OKS) of 0.5.
        tight: (d,) the same at 0.75.
    """

    classes: IntArray
    scores: FloatArray
    right: BoolArray
    tight: BoolArray


class ClassThreshold(NamedTuple):
    """The scores of one class.

    Attributes:
        accepted: Lowest score of a label; None where the class gets none.
        uncertain: Lowest score of a detection that may be an object, if it is no label.
        doubt: Share of such detections on val that are objects, 0 to 1; 1 where there are too few to know.
        detections: Number of detections on val at or above `accepted`; of all where that is None.
        right: How many of them are right.
        tight: How many of them are right at an IoU of 0.75.
    """

    accepted: float | None
    uncertain: float
    doubt: float
    detections: int
    right: int
    tight: int


def list_scored_detections(table: DetectionTable) -> ScoredDetections:
    """Return the detections of a split; those that match an object that does not count are left out."""
    counted = ~table.ignored[:, 0]
    hits = table.hits[counted]
    return ScoredDetections(table.classes[counted], table.scores[counted], hits[:, 0], hits[:, 5])


def choose_thresholds(found: ScoredDetections, classes: int, rule: PseudoLabelRule) -> list[ClassThreshold]:
    """Choose the scores of each class, by class index.

    Args:
        found: On val.
        classes: Number of classes.
        rule: `precision` and `least` are used.
    """
    return [_choose_for_class(found, cls, rule) for cls in range(classes)]


def _choose_for_class(found: ScoredDetections, cls: int, rule: PseudoLabelRule) -> ClassThreshold:
    order = np.argsort(-found.scores, kind="stable")
    rows = order[found.classes[order] == cls]
    scores, right = found.scores[rows], found.right[rows]
    count = _count_accepted(scores, right, rule)
    accepted = float(scores[count - 1]) if count else None
    uncertain = _find_uncertain_score(scores[right], rule.least)
    uncertain = uncertain if accepted is None else min(uncertain, accepted)
    between = right[count:][scores[count:] >= uncertain]
    counted = count or len(rows)
    return ClassThreshold(
        accepted,
        uncertain,
        float(between.mean()) if len(between) >= rule.least else 1.0,
        counted,
        int(right[:counted].sum()),
        int(found.tight[rows][:counted].sum()),
    )


def _count_accepted(scores: FloatArray, right: BoolArray, rule: PseudoLabelRule) -> int:
    """Return how many of the detections, by descending score, are labels: as many as precision allows.

    The best of many places looks better than it is, so some wrong detections are added to each (`ALLOWANCE`).
    """
    numbers = np.arange(1, len(scores) + 1)
    is_last = np.append(scores[1:] != scores[:-1], True)[: len(scores)]  # equal scores are taken together
    is_right = np.cumsum(right) >= rule.precision * (numbers + ALLOWANCE * rule.least)
    fits = is_last & is_right & (numbers >= rule.least) & (scores >= LOWEST_SCORE)
    return int(numbers[fits].max(initial=0))


def _find_uncertain_score(scores: FloatArray, least: int) -> float:
    """Return the score down to which nearly all objects are found, given the scores of right detections."""
    if not len(scores):
        return CAUTIOUS_SCORE
    score = float(scores[int(np.ceil(FOUND_SHARE * len(scores))) - 1])
    return score if len(scores) >= least else min(score, CAUTIOUS_SCORE)
