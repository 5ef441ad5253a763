"""Choose the thresholds of a teacher on val, and measure there what its pseudo-labels are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.matching import build_detection_table, match_detections
from pipeline.predict.pseudo_labels.judge_image import LABELLED, judge_detections
from pipeline.predict.pseudo_labels.thresholds import (
    ALLOWANCE,
    ClassThreshold,
    PseudoLabelRule,
    ScoredDetections,
    choose_thresholds,
    list_scored_detections,
)

MIN_VAL_IMAGES: Final = 10
"""Val images that must get labels: what fewer would show is chance."""
MARGIN: Final = 0.05
"""How far the precision on images that did not choose the scores may be below what was asked for."""


class ValOutcome(NamedTuple):
    """What thresholds of one half of the val images do on the other half, for both halves together.

    Attributes:
        images: Number of val images.
        labelled: How many of them get labels.
        labels: Number of these labels.
        right: How many of these are right.
        objects: Number of true objects in the images that get labels.
    """

    images: int
    labelled: int
    labels: int
    right: int
    objects: int

    @property
    def precision(self) -> float:
        """Share of the labels that are right."""
        return self.right / self.labels if self.labels else 0.0

    @property
    def recall(self) -> float:
        """Share of the objects that have a label."""
        return self.right / self.objects if self.objects else 0.0


class TeacherThresholds(NamedTuple):
    """What a teacher's pseudo-labels are chosen by.

    Attributes:
        classes: The thresholds by class index.
        val: What such thresholds do on images that did not choose them.
        rule: What they were chosen by.
    """

    classes: Sequence[ClassThreshold]
    val: ValOutcome
    rule: PseudoLabelRule


def measure_teacher(
    val: SplitPredictions | ClassScores,
    names: Sequence[str],
    rule: PseudoLabelRule,
    *,
    groups: Sequence[str],
    max_det: int,
) -> TeacherThresholds:
    """Choose the thresholds of all classes on val, and measure what such thresholds are worth.

    Scores that were chosen on some images look better on these than on others. So the measurement is made by
    halves: thresholds of one half of the val images are applied to the other half. Images of one group, such
    as near copies, are in the same half.

    Args:
        val: Predictions on val, with the truth.
        names: Class names by index.
        rule: What is asked of them.
        groups: The group of each image.
        max_det: The most detections that the model returns.
    """
    classes = choose_thresholds(_list_scored(val, len(names)), len(names), rule)
    half = rule._replace(least=-(-rule.least // 2))
    first, outcomes = choose_half(groups), []
    for part in (first, ~first):
        chosen_on, others = val.select(part), val.select(~part)
        chosen = choose_thresholds(_list_scored(chosen_on, len(names)), len(names), half)
        outcomes.append(
            _measure_classes(others, chosen)
            if isinstance(others, ClassScores)
            else _measure_detections(others, chosen, recall=rule.recall, max_det=max_det)
        )
    outcome = ValOutcome(*(sum(column) for column in zip(*outcomes, strict=True)))
    return TeacherThresholds(classes, outcome, rule)


def choose_half(groups: Sequence[str]) -> BoolArray:
    """Choose groups with about half of the images, the largest groups first.

    Args:
        groups: The group of each image.

    Returns:
        (images,) whether an image is in the first half.
    """
    first, balance = set[str](), 0
    for group, size in Counter(groups).most_common():
        if balance <= 0:
            first.add(group)
        balance += size if group in first else -size
    return np.array([group in first for group in groups], bool)


def _list_scored(val: SplitPredictions | ClassScores, classes: int) -> ScoredDetections:
    if isinstance(val, ClassScores):
        return _list_top_classes(val)
    return list_scored_detections(build_detection_table(val.truths, val.detections, classes))


def _list_top_classes(val: ClassScores) -> ScoredDetections:
    right = val.classes[:, 0] == val.truth
    return ScoredDetections(val.classes[:, 0], val.scores[:, 0], right, right)


def _measure_classes(val: ClassScores, classes: Sequence[ClassThreshold]) -> ValOutcome:
    scored = _list_top_classes(val)
    accepted = np.array([np.inf if each.accepted is None else each.accepted for each in classes])
    kept = scored.scores >= accepted[scored.classes]
    labels, right = int(kept.sum()), int(scored.right[kept].sum())
    return ValOutcome(len(kept), labels, labels, right, right)  # an image has one class, and so one label


def _measure_detections(
    val: SplitPredictions, classes: Sequence[ClassThreshold], *, recall: float, max_det: int
) -> ValOutcome:
    labelled = labels = right = objects = 0
    for truth, found in zip(val.truths, val.detections, strict=True):
        judged = judge_detections(found, classes, recall=recall, max_det=max_det)
        if judged.outcome != LABELLED:
            continue
        labelled += 1
        labels += int(judged.kept.sum())
        right += _count_right(truth, found.select(judged.kept))
        objects += int(truth.counted.sum())
    return ValOutcome(len(val.truths), labelled, labels, right, objects)


def _count_right(truth: GroundTruth, labels: Detections) -> int:
    matched = match_detections(truth, labels)[:, 0]
    return int(np.append(truth.counted, False)[matched].sum())


def require_good_teacher(thresholds: TeacherThresholds, names: Sequence[str]) -> None:
    """Require that pseudo-labels are worth what was asked for.

    Args:
        thresholds: Of the teacher.
        names: Class names by index.

    Raises:
        UserError: The teacher is not good enough for the rule, or val is too small to know.
    """
    _require_labels(thresholds.classes, names, thresholds.rule)
    _require_worth(thresholds.val, thresholds.rule)


def _require_labels(classes: Sequence[ClassThreshold], names: Sequence[str], rule: PseudoLabelRule) -> None:
    if any(each.accepted is not None for each in classes):
        return
    best = max(range(len(classes)), key=lambda cls: (classes[cls].right, -cls))
    found = classes[best]
    raise UserError(
        f"no class has a score from which on {rule.precision:.0%} of {rule.least} or more detections on val "
        f"are right, with {ALLOWANCE * rule.least:g} wrong ones added ({names[best]}: {found.right} of "
        f"{found.detections} at any score): train a better teacher, label more val images, or set "
        "--precision or --least lower"
    )


def _require_worth(outcome: ValOutcome, rule: PseudoLabelRule) -> None:
    """Require that enough val images get labels, that these are right, and that nearly all objects have one.

    Raises:
        UserError: Too few; with what could be done.
    """
    if outcome.labelled < MIN_VAL_IMAGES:
        raise UserError(
            f"only {outcome.labelled} of {outcome.images} val images would get labels, too few to know what "
            f"the labels are worth ({MIN_VAL_IMAGES} are needed): train a better teacher, label more val "
            "images, or set --precision lower"
        )
    if outcome.precision < rule.precision - MARGIN:
        raise UserError(
            f"of the labels by scores that one half of val chose, {outcome.precision:.0%} are right on the "
            f"other half, and {rule.precision:.0%} is asked for: label more val images, set --least higher, "
            "or --precision lower"
        )
    if outcome.recall < rule.recall:
        raise UserError(
            f"on val, {outcome.recall:.0%} of the objects in the images that get labels have one, and the "
            f"others would be taught as background ({rule.recall:.0%} is asked for): train a better teacher, "
            "or set --recall lower"
        )


def describe_outcome(outcome: ValOutcome) -> dict[str, Any]:
    """Return an outcome for the record."""
    return {**outcome._asdict(), "precision": round(outcome.precision, 4), "recall": round(outcome.recall, 4)}
