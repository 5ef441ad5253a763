"""Count how often the gate of the model registry is right about planted better and worse models.

    python benchmarks/gate.py [--trials 200] [--images 300]

The test sets are drawn: images with objects of five classes, and the predictions of two models that share
what is hard about an object, as two trainings on the same images do. A model finds an object with a
probability, places its box with an error, and adds false boxes. What each pair is in truth is known from a
set of 20,000 images. The gate is the one of `promote`, with the limits of conf/registry.
docs/decisions/registry.md has the figures.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from pipeline.comparison.compare_models import compare_predictions
from pipeline.comparison.comparison_result import ModelComparison
from pipeline.core.detections import Detections, GroundTruth
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.registry.gate import GateRules, judge_comparison

CLASSES = 5
SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)
"""Of the objects, by class: the last one is rare."""
RULES = GateRules(epsilon=0.01, class_limit=0.05, slice_limit=0.05, min_objects=30)
TRUE_IMAGES = 20_000
SIDE = 640


class PlantedModel(NamedTuple):
    """A model whose quality is set.

    Attributes:
        skill: The higher, the more objects it finds: 0 finds half of them.
        error: Standard deviation of the corners of its boxes, in pixels.
        alarms: Mean number of false boxes per image.
        lost: Skill that it lacks for the last class but one.
        night: Skill that it lacks for a fifth of the images, those of the slice light=night.
    """

    skill: float
    error: float = 4.0
    alarms: float = 0.5
    lost: float = 0.0
    night: float = 0.0


CHAMPION = PlantedModel(1.2)
SCENARIOS = {
    "better": (PlantedModel(1.8, error=3.5), True),
    "slightly better": (PlantedModel(1.45, error=3.8), True),
    "worse by twice epsilon": (PlantedModel(1.13, error=4.15), False),
    "worse": (PlantedModel(0.8, error=4.6), False),
    "better, one class lost": (PlantedModel(1.9, error=3.4, lost=1.8), False),
    "better, but at night": (PlantedModel(2.0, error=3.4, night=2.2), False),
    "better by a little": (PlantedModel(1.3, error=3.9), None),
    "equal": (CHAMPION, None),
}
"""A challenger, and whether it is to be promoted; None where either would be right."""


class DrawnImage(NamedTuple):
    """One image: what both models see alike.

    Attributes:
        truth: Its objects.
        ease: (objects,) how easy each object is to find.
        night: Whether it is in the slice light=night.
    """

    truth: GroundTruth
    ease: NDArray[np.float64]
    night: bool


def draw_images(count: int, rng: np.random.Generator) -> list[DrawnImage]:
    """Draw images with one to five objects."""
    images = []
    for _ in range(count):
        objects = int(rng.integers(1, 6))
        corners = rng.uniform(0, SIDE - 160, (objects, 2))
        boxes = np.hstack([corners, corners + rng.uniform(30, 150, (objects, 2))])
        classes = rng.choice(CLASSES, objects, p=SHARES)
        ease = rng.normal(0, 0.7) + rng.normal(0, 1.0, objects)
        images.append(DrawnImage(GroundTruth(boxes, classes), ease, bool(rng.random() < 0.2)))
    return images


def predict(image: DrawnImage, model: PlantedModel, rng: np.random.Generator) -> Detections:
    """Predict on an image: objects that are easy enough, with errors, and false boxes."""
    boxes, classes = image.truth.boxes, image.truth.classes
    skill = model.skill - model.lost * (classes == CLASSES - 2) - model.night * image.night
    margin = skill + image.ease + rng.normal(0, 0.5, len(classes))
    found = margin > 0
    alarms = int(rng.poisson(model.alarms))
    corners = rng.uniform(0, SIDE - 160, (alarms, 2))
    placed = boxes[found] + rng.normal(0, model.error, (int(found.sum()), 4))
    scores = np.concatenate([1 / (1 + np.exp(-margin[found])), rng.uniform(0.02, 0.7, alarms)])
    return Detections(
        np.vstack([placed, np.hstack([corners, corners + rng.uniform(30, 150, (alarms, 2))])]),
        scores,
        np.concatenate([classes[found], rng.integers(0, CLASSES, alarms)]).astype(np.int64),
    )


def predict_all(images: list[DrawnImage], model: PlantedModel, rng: np.random.Generator) -> StoredPredictions:
    """Return the predictions on all images as `evaluate` stores them."""
    described = tuple(
        PredictedImage(
            number,
            f"test/{number}.jpg",
            *(f"{number:064}",) * 2,
            *(SIDE,) * 2,
            *(str(number),) * 2,
            slices=("light=night" if image.night else "light=day",),
        )
        for number, image in enumerate(images, 1)
    )
    names = tuple(f"class{number}" for number in range(CLASSES))
    detections = [predict(image, model, rng) for image in images]
    return StoredPredictions(
        "detect", names, "data", "weights", described, [image.truth for image in images], detections
    )


def measure_truth(model: PlantedModel) -> float:
    """Return the mAP50-95 of a model on a large set."""
    rng = np.random.default_rng(10**6)
    found = predict_all(draw_images(TRUE_IMAGES, rng), model, rng)
    table = build_detection_table(found.truths, found.detections, CLASSES)
    return float(compute_mean_ap(compute_average_precisions(table))[0])


def run_trial(challenger: PlantedModel, images: int, seed: int) -> ModelComparison:
    """Compare the champion and a challenger on a test set of their own."""
    rng = np.random.default_rng(seed)
    drawn = draw_images(images, rng)
    first, second = (predict_all(drawn, model, rng) for model in (CHAMPION, challenger))
    return compare_predictions(first, second, labels=("champion", "challenger"), resamples=1000, seed=seed)


def count_outcomes(challenger: PlantedModel, images: int, trials: int) -> Counter[str]:
    """Count the promotions, and the checks that failed."""
    counted: Counter[str] = Counter()
    for trial in range(trials):
        checks = judge_comparison(run_trial(challenger, images, trial), RULES)
        failed = [check.name for check in checks if not check.passed]
        counted.update(failed or ["promoted"])
    return counted


def main() -> None:
    """Print a row per scenario."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--only", default="", help="scenarios whose names hold this")
    chosen = parser.parse_args()
    champion = measure_truth(CHAMPION)
    print(f"champion: mAP50-95 {champion:.3f}; {chosen.images} test images, {chosen.trials} trials")
    print(f"{'challenger':26}{'truth':>8}{'promoted':>10}{'right':>8}   failed checks")
    for name, (model, wanted) in SCENARIOS.items():
        if chosen.only not in name:
            continue
        counted = count_outcomes(model, chosen.images, chosen.trials)
        promoted = counted.pop("promoted", 0) / chosen.trials
        right = "-" if wanted is None else f"{promoted if wanted else 1 - promoted:.1%}"
        reasons = ", ".join(f"{check} {count}" for check, count in counted.most_common())
        print(
            f"{name:26}{measure_truth(model) - champion:+8.3f}{promoted:10.1%}{right:>8}   {reasons}",
            flush=True,
        )


if __name__ == "__main__":
    main()
