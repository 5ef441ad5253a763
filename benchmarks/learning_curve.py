"""Measure the forecast of `finetrack learning-curve` on simulated curves whose true course is known.

    python benchmarks/learning_curve.py [--trials 400] [--only NAME]

For each case it draws the scores of trainings on a few numbers of images, fits them with the project's own
code, and forecasts twice and four times the images. It reports how often the 95% interval of the gain holds
the true gain, the mean forecast, the mean width of the interval, and how often a gain is shown (where the
curve is flat: false alarms).

Some curves are no inverse power laws: what is fitted is then wrong, as it may be on real images. Trainings
vary by their seed and their choice of images, more on few images. The test images are the same for all sizes:
each has a difficulty that all trainings share, and one of its own for each size.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the project is not installed

from pipeline.comparison.statistics.curve_forecast import (  # noqa: E402
    CurveScores,
    fit_learning_curve,
    forecast_gain,
)

RESAMPLES = 500
LARGEST = 800


class Case(NamedTuple):
    """One kind of curve and noise.

    Attributes:
        name: Of the case.
        curve: The true score at a number of images.
        sizes: How many numbers of images, each twice the one before; the largest is `LARGEST`.
        trainings: Of each size.
        groups: Of test images.
        spread: Standard deviation between trainings on the largest number.
        growth: How much it grows with fewer images: n^-growth.
        luck: Standard deviation of what all trainings on all images share, since their images are the same.
    """

    name: str
    curve: Callable[[float], float]
    sizes: int = 4
    trainings: int = 3
    groups: int = 60
    spread: float = 0.01
    growth: float = 0.25
    luck: float = 0.0


def build_power(limit: float, now: float, share: float) -> Callable[[float], float]:
    """Return a power law by its limit, its score now, and what each doubling brings of the one before."""
    exponent = -np.log2(share)
    return lambda images: limit - (limit - now) * (images / LARGEST) ** -exponent


def rise_slowly(images: float) -> float:
    """Return a score that each doubling raises by the same."""
    return 0.6 + 0.06 * np.log2(images / LARGEST)


def saturate(images: float) -> float:
    """Return a score that nears its limit exponentially: few images more, and all is known."""
    return 0.72 - 0.5 * np.exp(-images / 350)


def climb(images: float) -> float:
    """Return a score that rises slowly, then fast, then slowly, over the logarithm."""
    return 0.8 / (1 + np.exp(-1.2 * (np.log2(images / LARGEST) + 1.5)))


STEEP = build_power(0.85, 0.65, 0.75)
FLATTER = build_power(0.75, 0.68, 0.5)

CASES = (
    Case("law, 0.75 a doubling", STEEP),
    Case("law, 0.75, 3 sizes", STEEP, sizes=3),
    Case("law, 0.75, 6 sizes", STEEP, sizes=6),
    Case("law, 0.75, 2 trainings", STEEP, trainings=2),
    Case("law, 0.75, 5 trainings", STEEP, trainings=5),
    Case("law, 0.75, noisy trainings", STEEP, spread=0.03),
    Case("law, 0.75, 20 test images", STEEP, groups=20),
    Case("law, 0.75, 500 test images", STEEP, groups=500),
    Case("law, 0.75, lucky images", STEEP, luck=0.01),
    Case("law, 0.5 a doubling", FLATTER),
    Case("law, 0.5, 500 test images", FLATTER, groups=500),
    Case("flat", lambda _: 0.7),
    Case("flat, 3 sizes, 2 trainings", lambda _: 0.7, sizes=3, trainings=2),
    Case("flat, noisy trainings", lambda _: 0.7, spread=0.03),
    Case("no law: logarithm", rise_slowly),
    Case("no law: exponential", saturate),
    Case("no law: S-shaped", climb),
    Case("no law: exponential, 500 images", saturate, groups=500),
    Case("no law: S-shaped, 500 images", climb, groups=500),
)


class Outcome(NamedTuple):
    """What one forecast gave.

    Attributes:
        covered: Whether its interval holds the true gain.
        shown: Whether the interval is above 0.
        gain: The forecast.
        width: Of the interval.
    """

    covered: bool
    shown: bool
    gain: float
    width: float


def draw_scores(case: Case, rng: np.random.Generator) -> CurveScores:
    """Draw the scores of all trainings, and resamples of the test images."""
    images = LARGEST * 2.0 ** np.arange(1 - case.sizes, 1)
    truth = np.array([case.curve(number) for number in images])
    spread = case.spread * (images / LARGEST) ** -case.growth
    trained = truth[:, None] + spread[:, None] * rng.normal(size=(case.sizes, case.trainings))
    trained[-1] += case.luck * rng.normal()
    shared = 0.15 * rng.normal(size=case.groups)
    own = shared + 0.1 * rng.normal(size=(case.sizes, case.groups))
    weights = rng.multinomial(case.groups, np.full(case.groups, 1 / case.groups), size=RESAMPLES)
    at_test = own.mean(axis=1)
    drawn = own @ weights.T / case.groups - at_test[:, None]
    return CurveScores(images, trained + at_test[:, None], drawn, case.groups)


def run_trial(case: Case, seed: int) -> list[Outcome]:
    """Draw scores, and forecast twice and four times the images."""
    law = fit_learning_curve(draw_scores(case, np.random.default_rng([seed, 3])), seed=seed, draws=2000)
    found = []
    for times in (2.0, 4.0):
        truth = case.curve(times * LARGEST) - case.curve(LARGEST)
        told = forecast_gain(law, times)
        covered = told.low <= truth <= told.high
        found.append(Outcome(covered, told.low > 0, told.gain, told.high - told.low))
    return found


def format_row(case: Case, found: Sequence[Sequence[Outcome]], seconds: float) -> str:
    """Return a row of the table: for twice and four times the images."""
    cells = [f"{case.name:34}"]
    for place, times in enumerate((2.0, 4.0)):
        truth = case.curve(times * LARGEST) - case.curve(LARGEST)
        covered, shown, gain, width = np.array([row[place] for row in found], float).mean(axis=0)
        cells.append(f"{truth:+.3f} {gain:+.3f} {width:.3f} {100 * covered:5.1f}% {100 * shown:5.1f}%")
    return " | ".join([*cells, f"{seconds:4.0f} s"])


def main() -> None:
    """Run the cases and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    asked = parser.parse_args()
    head = "true   told   width  holds  shown"
    print(f"{'':34} | {'twice: ' + head:33} | {'4 times: ' + head}")
    for case in CASES:
        if asked.only in case.name:
            started = time.perf_counter()
            found = [run_trial(case, seed) for seed in range(asked.trials)]
            print(format_row(case, found, time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
