"""What became of each object and each detection of one image, at one threshold and IoU 0.5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.matching import IOUS, likeness, match

RIGHT: Final = "right"
WRONG: Final = "wrong class"
LOOSE: Final = "loose"
ALARM: Final = "false alarm"
MISSED: Final = "missed"
REASONS: Final = (MISSED, ALARM, WRONG, LOOSE)

TOUCHING: Final = 0.1
"""The overlap from which a box is loose instead of elsewhere (TIDE, Bolya et al. 2020)."""


@dataclass(frozen=True)
class ImageErrors:
    """One image, judged.

    Args:
        truth: Its objects.
        found: Its detections of at least the threshold.
        verdicts: For each detection: right, wrong class, loose or false alarm.
        partners: (detections,) the object each of them stands for, -1 for a false alarm.
        missed: (m,) the objects that no detection stands for.
    """

    truth: GroundTruth
    found: Detections
    verdicts: tuple[str, ...]
    partners: NDArray[np.int64]
    missed: NDArray[np.int64]

    @property
    def errors(self) -> int:
        """Missed objects, and detections that are not right."""
        return len(self.missed) + sum(verdict != RIGHT for verdict in self.verdicts)

    def reasons(self) -> dict[str, int]:
        """Count the errors by reason, the usual order, without those that did not happen."""
        counts = {reason: self.verdicts.count(reason) for reason in REASONS} | {MISSED: len(self.missed)}
        return {reason: count for reason, count in counts.items() if count}


def judge(truth: GroundTruth, found: Detections, threshold: float) -> ImageErrors:
    """Say of each detection what it is, and of each object whether it was missed.

    First as for precision and recall: right is what matches an object of its class at IoU 0.5. Of what is
    left, the pairs that overlap most go first: at IoU 0.5 and another class it is a wrong class, at less and
    the same class a loose one. What found an object that does not count is left out.
    """
    found = found.only(found.scores >= threshold)
    partners = match(truth, found)[:, 0]
    void = (partners >= 0) & ~np.append(truth.counted, True)[partners]
    found, partners = found.only(~void), partners[~void]
    verdicts = np.where(partners >= 0, RIGHT, ALARM).astype(object)
    overlap = likeness(truth, found) * truth.counted
    same = found.classes[:, None] == truth.classes[None, :]
    for verdict, fits in (
        (WRONG, ~same & (overlap >= IOUS[0])),
        (LOOSE, same & (overlap >= TOUCHING) & (overlap < IOUS[0])),
    ):
        for row, column in _closest(np.where(fits, overlap, 0.0), partners):
            partners[row], verdicts[row] = column, verdict
    missed = np.setdiff1d(np.flatnonzero(truth.counted), partners)
    return ImageErrors(truth, found, tuple(verdicts), partners, missed)


def rank(outcomes: Sequence[ImageErrors]) -> list[int]:
    """Return the images with errors, the worst first: most errors, then most confident in what is wrong."""
    faulty = [index for index, outcome in enumerate(outcomes) if outcome.errors]
    return sorted(faulty, key=lambda index: (-outcomes[index].errors, -_confidence(outcomes[index]), index))


def confusions(outcomes: Iterable[ImageErrors], classes: int) -> NDArray[np.int64]:
    """Count (classes + 1, classes + 1) actual against predicted; the last row and column are the background.

    What is loose is a missed object and a false alarm here: the diagonal is what precision and recall count.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for outcome in outcomes:
        paired = np.isin(outcome.verdicts, [RIGHT, WRONG])
        actual = np.where(paired, np.append(outcome.truth.classes, classes)[outcome.partners], classes)
        np.add.at(matrix, (actual, outcome.found.classes), 1)
        lost = np.setdiff1d(np.flatnonzero(outcome.truth.counted), outcome.partners[paired])
        np.add.at(matrix[:, classes], outcome.truth.classes[lost], 1)
    return matrix


def _closest(overlap: NDArray[np.float64], partners: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    """Pair free detections with free objects, by descending overlap."""
    overlap = overlap.copy()
    overlap[partners >= 0] = 0.0
    overlap[:, partners[partners >= 0]] = 0.0
    while overlap.any():
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[row], overlap[:, column] = 0.0, 0.0
        yield int(row), int(column)


def _confidence(outcome: ImageErrors) -> float:
    wrong = np.array([verdict != RIGHT for verdict in outcome.verdicts], bool)
    return float(outcome.found.scores[wrong].sum())
