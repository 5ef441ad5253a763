"""Score the winner of a sweep on test: the one time that a sweep looks at the test split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final, NamedTuple

from pipeline.core.metric_names import HIGH, LOW
from pipeline.core.paths import TEST_METRICS_FILE
from pipeline.sweep.experiments import find_experiment_commit, read_committed_file
from pipeline.sweep.job import EpochReported, JobResult, SweepJob
from pipeline.sweep.report.points import SweepSummary

_SCORE_FIELDS: Final = ("test", "test_metrics", "winner_experiment")
FIRST_NUMBER: Final = 9000
"""The numbers of evaluations follow those of all trainings."""


class TestScore(NamedTuple):
    """The main metric of a training on test.

    Attributes:
        value: 0 to 1.
        low: The lower bound of its 95% interval; None if there is none.
        high: The upper bound.
    """

    value: float
    low: float | None
    high: float | None


class WinnerEvaluations:
    """The jobs that evaluate the trainings of the best points; DVC restores the trainings themselves.

    Attributes:
        results: Of the evaluations that have ended.
    """

    def __init__(self, best: Sequence[SweepJob], name: str) -> None:
        """Plan the evaluations.

        Args:
            best: The trainings to evaluate: all repetitions of the best point.
            name: The name of the sweep.
        """
        self._waiting = [
            replace(
                job,
                number=FIRST_NUMBER + place,
                experiment=name_evaluation(name, place),
                last_stage="evaluate",
            )
            for place, job in enumerate(best)
        ]
        self.results: list[JobResult] = []

    def next_job(self) -> SweepJob | None:
        """Return the next evaluation."""
        return self._waiting.pop(0) if self._waiting else None

    def report_epoch(self, event: EpochReported) -> bool:
        """Let a training, which runs again where DVC's cache has lost it, go on to its end."""
        del event
        return False

    def finish_job(self, result: JobResult) -> JobResult:
        """Keep a result, and return it."""
        self.results.append(result)
        return result

    def stop(self) -> None:
        """Plan nothing more."""
        self._waiting.clear()


def name_evaluation(name: str, place: int) -> str:
    """Return the name of the experiment that scores a training of the winner of a sweep.

    Args:
        name: Of the sweep.
        place: Of the training among those of the winner, from 0.
    """
    return f"{name}-best" if place == 0 else f"{name}-best-{place}"


def read_test_score(project: Path, experiment: str, metric: str) -> TestScore | None:
    """Read the main metric on test from the experiment of an evaluation; None if it has none."""
    commit = find_experiment_commit(project, experiment)
    content = commit and read_committed_file(project, commit, TEST_METRICS_FILE)
    test: Mapping[str, Any] = json.loads(content).get("test", {}) if content else {}
    if metric not in test:
        return None
    return TestScore(test[metric], test.get(f"{metric}{LOW}"), test.get(f"{metric}{HIGH}"))


def build_test_record(summary: SweepSummary, evaluate: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scores of the winner on test as JSON values, for the processes that lack its experiment.

    Args:
        summary: With a winner, and its scores.
        evaluate: The values of evaluate that decide them.
    """
    scores = {name: getattr(summary, name) for name in _SCORE_FIELDS}
    return {**_describe_evaluation(summary, evaluate), **scores, "test_metrics": dict(summary.test_metrics)}


def add_test_record(
    summary: SweepSummary, evaluate: Mapping[str, Any], record: Mapping[str, Any] | None
) -> SweepSummary:
    """Add the scores that another process recorded, if they are of this winner and these values."""
    wanted = _describe_evaluation(summary, evaluate)
    if record is None or any(record.get(name) != value for name, value in wanted.items()):
        return summary
    return replace(summary, **{name: record[name] for name in _SCORE_FIELDS})


def _describe_evaluation(summary: SweepSummary, evaluate: Mapping[str, Any]) -> dict[str, Any]:
    """Return which trainings were scored, and how, as JSON gives it back."""
    jobs = summary.winner.jobs if summary.winner else ()
    trainings = [[row.job.number, row.run_id, row.score] for row in jobs]
    return {"trainings": trainings, "evaluate": json.loads(json.dumps(dict(evaluate), allow_nan=False))}


def describe_absence(rows: Sequence[JobResult], *, is_scored: bool) -> str:
    """Return where trainings of the winner are that other projects have, and how they come here.

    Args:
        rows: One or more, whose experiments are not in this project.
        is_scored: Whether the winner is scored on test.
    """
    places = " and ".join(dict.fromkeys(row.origin or "another clone" for row in rows))
    scored = "" if is_scored else " and not scored on test here"
    again = "" if is_scored else ", then run the same command again here"
    return f"the winner was trained in {places}{scored}: `make push` there and `make pull` here{again}"


def describe_test_scores(metric: str, scores: Sequence[TestScore]) -> str:
    """Describe the winner on test: one training with its interval, several by mean and standard deviation."""
    if len(scores) == 1:
        score = scores[0]
        interval = f" (95% interval {score.low:.3f} to {score.high:.3f})" if score.low is not None else ""
        return f"test {metric} {score.value:.4f}{interval}"
    values = [score.value for score in scores]
    return (
        f"test {metric} mean {mean(values):.4f}, standard deviation {stdev(values):.4f} "
        f"({len(values)} trainings)"
    )
