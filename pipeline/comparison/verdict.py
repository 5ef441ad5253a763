"""Say in one sentence what a comparison shows."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from pipeline.comparison.comparison_result import Verdict
from pipeline.comparison.statistics.paired_interval import (
    SIGNIFICANCE,
    DifferenceEstimate,
    estimate_needed_images,
)
from pipeline.core.text import format_count

MAX_IMAGES: Final = 1_000_000
"""More images than this are not named as what a comparison needs."""


class Judgment(NamedTuple):
    """What the main figure shows.

    Attributes:
        verdict: Of the second model.
        sentence: For people.
        needed_images: See `ModelComparison`.
    """

    verdict: Verdict
    sentence: str
    needed_images: int | None


def judge_difference(
    estimate: DifferenceEstimate, label: str, *, images: int, p_value: float | None = None
) -> Judgment:
    """Judge the difference of the main figure.

    Args:
        estimate: Of the main figure.
        label: The name of the second model.
        images: Number of test images.
        p_value: Adjusted for the other models that are compared at the same time; the estimate's by default.
    """
    p = estimate.p_value if p_value is None else p_value
    amount = format_difference(estimate)
    if p < SIGNIFICANCE:
        verdict: Verdict = "better" if estimate.difference > 0 else "worse"
        return Judgment(verdict, f"{label} is {verdict}: {amount}", None)
    if estimate.p_value < SIGNIFICANCE:
        return Judgment(
            "no difference shown",
            f"no difference shown for {label}, since several models are compared (p {p:.2f}): {amount}",
            None,
        )
    if not estimate.difference and not estimate.image_variance:
        sentence = f"no difference: {label} scores the same on all {format_count(images, 'image')}"
        return Judgment("no difference shown", sentence, None)
    if estimate.groups < 2:
        return Judgment(
            "no difference shown",
            f"no difference can be shown: of {format_count(images, 'image')} only one group has an object, "
            "and images of one group are like one image",
            None,
        )
    needed = round_needed_images(estimate_needed_images(estimate, images))
    shown = (
        f"no difference that {format_count(images, 'image')} could show ({_describe_need(estimate, needed)})"
    )
    return Judgment("no difference shown", f"{shown}: {amount}", needed)


def format_difference(estimate: DifferenceEstimate) -> str:
    """Format a difference with its interval: `+0.031 (0.012 to 0.049)`."""
    low, high = estimate.interval
    return f"{estimate.difference:+.3f} ({low:.3f} to {high:.3f})"


def round_needed_images(number: float) -> int | None:
    """Round a number of images up to two digits; None for one that is too large to be of use."""
    if not math.isfinite(number) or number > MAX_IMAGES:
        return None
    unit: int = 10 ** max(0, len(str(math.ceil(number))) - 2)
    return math.ceil(number / unit) * unit


def _describe_need(estimate: DifferenceEstimate, needed: int | None) -> str:
    if needed is not None:
        return f"needs about {needed:,}"
    if estimate.difference and estimate.seed_variance > estimate.image_variance:
        return "their seeds move the score as much: train each with more seeds"
    return f"needs more than {MAX_IMAGES:,}"
