"""One evaluation: a threshold chosen on val, every figure measured on test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.average_precision import average_precisions
from pipeline.core.bootstrap import Interval, intervals
from pipeline.core.matching import Detections, Objects, Table, tabulate
from pipeline.core.operating import Operating, average, best_threshold, operate
from pipeline.core.outcomes import Outcome, judge


class Split(NamedTuple):
    """The objects and the detections of each image, in the same order."""

    truths: Sequence[Objects]
    found: Sequence[Detections]


@dataclass(frozen=True)
class Evaluation:
    """What was measured on the test split.

    Args:
        names: The class names by index.
        table: The matched detections.
        aps: (classes, 10) average precision; NaN for a class without objects.
        maps: mAP50-95 and mAP50 with their intervals.
        threshold: The score from which a detection counts.
        chosen_on: The split that the threshold was chosen on.
        at: Precision, recall and F1 (1, classes) at the threshold.
        outcomes: Each image, judged at the threshold.
    """

    names: tuple[str, ...]
    table: Table
    aps: NDArray[np.float64]
    maps: dict[str, Interval]
    threshold: float
    chosen_on: Literal["val", "test"]
    at: Operating
    outcomes: tuple[Outcome, ...]


def evaluate(test: Split, val: Split, names: tuple[str, ...], *, resamples: int, seed: int) -> Evaluation:
    """Measure on `test` at the threshold of the highest mean F1 on `val`.

    A threshold chosen on the images it is judged by flatters. Where val has no objects there is no other way,
    and `chosen_on` says so.
    """
    table, other = tabulate(*test, len(names)), tabulate(*val, len(names))
    chosen_on: Literal["val", "test"] = "val" if other.objects.any() else "test"
    threshold = best_threshold(other if chosen_on == "val" else table)
    return Evaluation(
        names=names,
        table=table,
        aps=average_precisions(table)[0],
        maps=intervals(table, times=resamples, seed=seed),
        threshold=threshold,
        chosen_on=chosen_on,
        at=operate(table, np.array([threshold])),
        outcomes=tuple(judge(truth, found, threshold) for truth, found in zip(*test, strict=True)),
    )


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    objects = evaluation.table.objects.sum(axis=0)
    test: dict[str, float | str] = {}
    for name, interval in evaluation.maps.items():
        test |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    at = evaluation.at
    for name, figure in (("precision", at.precision), ("recall", at.recall), ("F1", at.f1)):
        test[name] = float(average(figure)[0])
    test |= {"threshold": evaluation.threshold, "threshold_from": evaluation.chosen_on}
    test |= {"images": len(evaluation.table.objects), "objects": int(objects.sum())}
    classes = {evaluation.names[cls]: _of_class(evaluation, int(cls)) for cls in np.flatnonzero(objects)}
    return {"test": _rounded(test), "per_class": {name: _rounded(row) for name, row in classes.items()}}


def _of_class(evaluation: Evaluation, cls: int) -> dict[str, float | str]:
    at = evaluation.at
    return {
        "AP50-95": float(evaluation.aps[cls].mean()),
        "AP50": float(evaluation.aps[cls, 0]),
        "precision": float(at.precision[0, cls]),
        "recall": float(at.recall[0, cls]),
        "F1": float(at.f1[0, cls]),
        "objects": int(evaluation.table.objects[:, cls].sum()),
    }


def _rounded(row: dict[str, float | str]) -> dict[str, float | str]:
    """Keep five decimals: more would make the difference between two machines look like one of models."""
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}
