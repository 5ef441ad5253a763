"""Compare results that were computed again with those that are recorded (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pipeline.core.metric_names import MAIN_METRICS
from pipeline.tracking.sanitize import sanitize_metrics

TOLERANCE: Final = 1e-6
"""A larger difference of a metric counts, on the same machine with the same libraries."""
_CHANGING: Final = re.compile(r"[^/]+/(latency|seconds|speed|threads)(/|$)")
"""Names of what differs from one evaluation to the next: times. A class may be called threads, too."""


class Comparison(NamedTuple):
    """How far results are from the record.

    Attributes:
        name: The main metric, such as test/mAP50-95; empty if nothing can be compared.
        recorded: Its recorded value.
        again: Its value now.
        largest: The metric that differs most.
        difference: Its absolute difference; 0 if all are equal.
    """

    name: str
    recorded: float
    again: float
    largest: str
    difference: float

    @property
    def is_equal(self) -> bool:
        """Whether no metric differs by more than 1e-6."""
        return bool(self.name) and self.difference <= TOLERANCE


def compare_results(recorded: Mapping[str, float], again: Mapping[str, float], *, prefix: str) -> Comparison:
    """Compare metrics by name; times are left out.

    Args:
        recorded: By the names in MLflow, or by those that the stages write.
        again: By names of either kind. MLflow has other ones for classes such as `nut & bolt`.
        prefix: `test/` or `best/`: only metrics with it are compared.
    """
    recorded, again = sanitize_metrics(recorded), sanitize_metrics(again)
    names = [
        name
        for name in recorded
        if name.startswith(prefix) and name in again and not _CHANGING.match(name) and name != "best/epoch"
    ]
    main = next((prefix + name for name in MAIN_METRICS if prefix + name in names), "")
    differences = {name: abs(recorded[name] - again[name]) for name in names}
    largest = max(differences, key=differences.__getitem__, default="")
    return Comparison(
        main,
        recorded.get(main, 0.0),
        again.get(main, 0.0),
        largest,
        differences.get(largest, 0.0),
    )
