"""The trainings on one number of images, and what a learning curve says."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pipeline.comparison.statistics.curve_forecast import Forecast, ScoreInterval

CurveVerdict = Literal["gain", "little", "unclear", "none"]
"""Of twice as many images: `gain`: the forecast's interval is above 0; `little`: it is, or may be, but not by
much; `unclear`: it holds 0; `none`: there is no forecast."""


class CurveSize(NamedTuple):
    """All trainings on one part of the train images.

    Attributes:
        fraction: Of the train images.
        images: Number of train images, the mean of the trainings: whole groups may make them differ.
        test: The main metric of each training on test.
        val: The main metric of each training on val, in its best epoch.
        experiments: The DVC experiment of each training.
        commits: Their commits.
        counts: Number of train images of each training.
    """

    fraction: float
    images: float
    test: tuple[float, ...]
    val: tuple[float, ...]
    experiments: tuple[str, ...]
    commits: tuple[str, ...]
    counts: tuple[int, ...] = ()


class CourseStep(NamedTuple):
    """The fitted curve at one number of images: the middle of the laws that fit, and their 95% interval."""

    images: float
    score: float
    low: float
    high: float


class ZeroShotScore(NamedTuple):
    """A model that finds the classes by words, without training, on the same test images.

    Attributes:
        label: Its file.
        sha256: Of the file.
        words: What it was asked for, by class.
        score: Its main metric on test.
        low: Lower bound of the 95% interval over the test images.
        high: Upper bound.
        remarks: What a reader has to know, a sentence each.
    """

    label: str
    sha256: str
    words: dict[str, str]
    score: float
    low: float
    high: float
    remarks: tuple[str, ...]


class LearningCurve(NamedTuple):
    """A learning curve with its forecast.

    Attributes:
        name: Of the sweep.
        command: That runs or continues it.
        task: The task; None where it is not known.
        metric: The main metric; empty before any training has ended.
        sizes: Ascending in their number of images.
        intervals: Of the mean test score of each size.
        groups: Number of groups of test images; 0 where the predictions are not known.
        forecasts: For more images; empty where there is none.
        course: The fitted curve, up to the last forecast; empty without one.
        verdict: See `CurveVerdict`.
        sentence: Whether more labels are worth it.
        remarks: What a reader has to know, a sentence each.
        zero_shot: A model without training beside it (zero_shot.weights); None without one.
    """

    name: str
    command: str
    task: str | None
    metric: str
    sizes: tuple[CurveSize, ...]
    intervals: tuple[ScoreInterval, ...]
    groups: int
    forecasts: tuple[Forecast, ...]
    course: tuple[CourseStep, ...]
    verdict: CurveVerdict
    sentence: str
    remarks: tuple[str, ...]
    zero_shot: ZeroShotScore | None = None
