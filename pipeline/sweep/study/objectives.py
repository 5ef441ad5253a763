"""Objectives and constraints of a sweep: which metrics, which direction, which limits. Without Optuna."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from statistics import fmean
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.metric_names import METRICS
from pipeline.sweep.job import JobResult

MEASURED_METRICS: Final = ("milliseconds", "parameters")
"""Metrics that are measured after a training where an objective or a constraint names them."""
_COSTS: Final = (*MEASURED_METRICS, "seconds")
_CONSTRAINT: Final = re.compile(r"\s*(\S+?)\s*(<=|>=|<|>)\s*(\S+)\s*")


class Constraint(NamedTuple):
    """A limit of a metric, such as `milliseconds <= 20`.

    Attributes:
        text: As the user wrote it.
        metric: The name of the metric.
        upper: Whether the limit is the largest value; else it is the smallest.
        strict: Whether the limit itself is not allowed.
        limit: The limit, in the metric's unit.
    """

    text: str
    metric: str
    upper: bool
    strict: bool
    limit: float


def is_minimized(metric: str) -> bool:
    """Return whether less of a metric is better: times, sizes, losses and gaps."""
    known = METRICS.get(metric)
    if known is not None:
        return not known.higher_is_better
    return metric in _COSTS or metric.endswith("loss")


def list_measured_metrics(objectives: Sequence[str], constraints: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics that have to be measured after each training, in a fixed order."""
    named = {*objectives, *(parse_constraint(text).metric for text in constraints)}
    return tuple(name for name in MEASURED_METRICS if name in named)


def parse_constraint(text: str) -> Constraint:
    """Parse a constraint: the name of a metric, `<=`, `>=`, `<` or `>`, and a number.

    Raises:
        UserError: It has another form, or the metric does not exist.
    """
    found = _CONSTRAINT.fullmatch(text)
    limit = _parse_number(found[3]) if found else None
    if found is None or limit is None:
        raise UserError(
            f"sweep.constraints: {text!r} is none: write METRIC <= NUMBER, such as 'milliseconds <= 20'"
        )
    require_metric(found[1], "sweep.constraints")
    return Constraint(" ".join(text.split()), found[1], "<" in found[2], len(found[2]) == 1, limit)


def require_metric(name: str, setting: str) -> None:
    """Require the name of a metric that a training has.

    Raises:
        UserError: No such metric.
    """
    if name in METRICS or name in _COSTS or name.endswith("loss"):
        return
    known = [*METRICS, *_COSTS]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
    raise UserError(f"{setting}: there is no metric {name!r}{hint}")


def compute_violation(constraint: Constraint, value: float) -> float:
    """Return how far a value is beyond the limit; 0 or less where the constraint holds."""
    beyond = value - constraint.limit if constraint.upper else constraint.limit - value
    return math.ulp(1.0) if constraint.strict and beyond == 0 else beyond


def compute_means(results: Sequence[JobResult], names: Sequence[str]) -> list[float]:
    """Return the mean of each metric over the repetitions of a point.

    Args:
        results: The results of all repetitions.
        names: Names of metrics; an empty name is the metric that ranks the job.

    Raises:
        UserError: A result does not have one of the metrics, or it is not a finite number.
    """
    return [fmean(_get_value(result, name) for result in results) for name in names]


def _get_value(result: JobResult, name: str) -> float:
    value = result.metrics.get(name) if name else result.score
    if name == "seconds" and value is None:
        value = result.seconds
    if value is None or not math.isfinite(value):
        wanted = name or result.metric or "metric on val"
        has = f"it has {', '.join(result.metrics)}" if result.metrics else "it has none"
        raise UserError(f"job {result.job.number} has no {wanted} to be judged by: {has}")
    return value


def _parse_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
