"""Build the learning curve of a sweep: scores, forecasts, and one sentence about more labels."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from pipeline.comparison.statistics.curve_forecast import (
    CurveLaws,
    CurveScores,
    Forecast,
    explain_no_forecast,
    fit_learning_curve,
    forecast_gain,
    measure_sizes,
)
from pipeline.sweep.learning_curve.collect_sizes import CollectedSizes, collect_sizes, find_absent_classes
from pipeline.sweep.learning_curve.curve_size import CourseStep, CurveVerdict, LearningCurve
from pipeline.sweep.learning_curve.resample_tests import resample_scores
from pipeline.sweep.learning_curve.training_steps import remark_on_steps
from pipeline.sweep.report.points import SweepSummary

TIMES: Final = (1.5, 2.0, 4.0)
"""How many times the images are forecast."""
LITTLE: Final = 0.01
"""A gain that is at most so large, by its interval, is called little."""
_COURSE_STEPS: Final = 40
_FEW_GROUPS: Final = 20


def build_learning_curve(summary: SweepSummary, project: Path, *, seed: int) -> LearningCurve:
    """Build the learning curve of a sweep as far as its trainings have ended.

    Each training is a final model of its own: none is chosen by its test score, so the scores on test are not
    too high by a choice.

    Args:
        summary: Of the sweep.
        project: The project's folder.
        seed: Of the resamples and draws.

    Raises:
        UserError: The trainings cannot be compared.
    """
    collected = collect_sizes(summary, project)
    kind = next((point for point in summary.points if point.metric), None)
    empty = LearningCurve(
        name=summary.name,
        command=summary.shown_command,
        task=kind.jobs[0].task if kind else None,
        metric=str(kind.metric) if kind else "",
        sizes=collected.sizes,
        intervals=(),
        groups=0,
        forecasts=(),
        course=(),
        verdict="none",
        sentence="no forecast: no number of images has all of its trainings yet",
        remarks=collected.remarks,
    )
    return _add_scores(empty, collected, project, seed=seed) if collected.sizes else empty


def _add_scores(
    curve: LearningCurve, collected: CollectedSizes, project: Path, *, seed: int
) -> LearningCurve:
    resampled = resample_scores(collected.sizes, seed=seed)
    scores = resampled.curve
    groups = 0 if resampled.problem else scores.groups
    sizes = collected.sizes
    remarks = [*collected.remarks, *find_absent_classes(sizes), *remark_on_steps(sizes, project)]
    remarks.append(resampled.problem)
    if 0 < groups < _FEW_GROUPS:
        remarks.append(f"{groups} groups of test images are few: the intervals may be too narrow")
    curve = curve._replace(
        intervals=tuple(measure_sizes(scores, seed=seed)), groups=groups, remarks=(*filter(None, remarks),)
    )
    reason = explain_no_forecast(scores)
    if not reason and collected.sizes[-1].fraction != 1:
        reason = "not all trainings on all train images have ended"
    return (
        curve._replace(sentence=f"no forecast: {reason}")
        if reason
        else add_forecast(curve, scores, seed=seed)
    )


def add_forecast(curve: LearningCurve, scores: CurveScores, *, seed: int) -> LearningCurve:
    """Add the forecasts, the fitted curve and the answer.

    Args:
        curve: With its sizes.
        scores: Of them; `explain_no_forecast` is empty.
        seed: Of the draws.
    """
    laws = fit_learning_curve(scores, seed=seed)
    forecasts = tuple(forecast_gain(laws, times) for times in TIMES)
    double = next(each for each in forecasts if each.times == 2)
    return curve._replace(
        forecasts=forecasts,
        course=tuple(_follow_course(laws)),
        verdict=judge_forecast(double),
        sentence=describe_forecast(double, curve.metric),
    )


def judge_forecast(double: Forecast) -> CurveVerdict:
    """Judge the forecast for twice as many images."""
    if double.high < LITTLE:
        return "little"
    return "gain" if double.low > 0 else "unclear"


def describe_forecast(double: Forecast, metric: str) -> str:
    """Answer in one sentence whether more labels are worth it.

    Args:
        double: The forecast for twice as many images.
        metric: The main metric.
    """
    answers = {
        "gain": "more labels should help",
        "little": "more labels would bring little",
        "unclear": "no gain that could be shown",
    }
    figures = f"{double.gain:+.3f} test {metric} ({double.low:.3f} to {double.high:.3f})"
    numbers = f"with twice as many train images ({double.images:,})"
    return f"{answers[judge_forecast(double)]}: {figures} {numbers}"


def _follow_course(laws: CurveLaws) -> list[CourseStep]:
    """Return the fitted curve from the fewest images to the last forecast."""
    steps = []
    for images in np.geomspace(laws.images[0], max(TIMES) * laws.images[1], _COURSE_STEPS):
        scores = laws.predict(float(images))
        low, middle, high = (float(value) for value in np.quantile(scores, (0.025, 0.5, 0.975)))
        steps.append(CourseStep(float(images), middle, low, high))
    return steps
