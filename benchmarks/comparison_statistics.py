"""Measure the statistics of `finetrack compare` on simulated models whose true difference is known.

    python benchmarks/comparison_statistics.py [--trials 400] [--resamples 500] [--only NAME] [--jobs 1]

For each case it draws test images and the predictions of two models on them, many times, and compares the
models with the project's own code. It reports how often the 95% interval of the main metric holds the true
difference, how often a difference is shown (of equal models: false alarms; of others: power), how often any
class is said to differ, and the mean width of the interval.

A simulated detector finds an object if its quality is high enough: the sum of its skill, of the difficulty of
image and object, which all models share, and of noise of its own. The quality also decides the overlap of the
box and its score. The true difference of two skills is that on 160,000 images.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the project is not installed

from pipeline.comparison.compare_models import ComparedModel, compare_models  # noqa: E402
from pipeline.core.detections import Detections, GroundTruth  # noqa: E402
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions  # noqa: E402
from pipeline.evaluate.metrics.average_precision import (  # noqa: E402
    compute_average_precisions,
    compute_mean_ap,
)
from pipeline.evaluate.metrics.matching import build_detection_table  # noqa: E402

THREE = (0.6, 0.3, 0.1)
TEN = (0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.02, 0.02)
POPULATION = 20_000
POPULATIONS = 8
SEED_SPREAD = 0.15
"""Standard deviation of the skill between trainings that differ in their seed."""


class Case(NamedTuple):
    """One kind of test set and models.

    Attributes:
        name: Of the case.
        images: Number of test images, or of groups.
        gap: The second model's skill less the first one's.
        shares: Of the classes.
        objects: Per image, on average.
        copies: Images in a group, which show nearly the same.
        trainings: Of each model, that differ in their seed.
        models: Compared with the first one; the further ones are as good as it.
        shift: Of the second model's scores: it is calibrated otherwise.
        classify: Whether images are classified.
    """

    name: str
    images: int
    gap: float = 0.0
    shares: tuple[float, ...] = THREE
    objects: float = 3.0
    copies: int = 1
    trainings: int = 1
    models: int = 1
    shift: float = 0.0
    classify: bool = False


CASES = (
    *(Case(f"detect {n}", n) for n in (30, 55, 200)),
    *(Case(f"detect {n}, better", n, 0.3) for n in (30, 55, 200)),
    Case("detect 55, slightly better", 55, 0.1),
    Case("detect 1000, slightly better", 1000, 0.1),
    Case("detect 55, one class, 1.5 objects", 55, shares=(1.0,), objects=1.5),
    Case("detect 55, ten classes", 55, shares=TEN),
    Case("detect 55, ten classes, better", 55, 0.3, shares=TEN),
    Case("detect 310, a class in about 2 images", 310, shares=(0.6, 0.398, 0.002)),
    Case("detect 55, other calibration", 55, shift=1.5),
    Case("detect 55 groups of 3", 55, copies=3),
    Case("detect 55 groups of 3, better", 55, 0.3, copies=3),
    Case("detect 55, 3 seeds each", 55, trainings=3),
    Case("detect 200, 3 seeds each", 200, trainings=3),
    Case("detect 55, 4 models", 55, models=3),
    Case("classify 55", 55, classify=True),
    Case("classify 55, better", 55, 0.8, classify=True),
    Case("classify 200", 200, classify=True),
    Case("classify 200, better", 200, 0.5, classify=True),
)


class Scene(NamedTuple):
    """Test images.

    Attributes:
        groups: (images,) the group of each.
        owners: (objects,) the image of each object.
        classes: (objects,) its class.
        difficulty: (objects,) what all models share.
        identity: (objects,) equal for the same object on several images of a group.
        clutter: (images,) how many false alarms an image invites.
    """

    groups: np.ndarray
    owners: np.ndarray
    classes: np.ndarray
    difficulty: np.ndarray
    identity: np.ndarray
    clutter: np.ndarray


class Outcome(NamedTuple):
    """What one trial gave.

    Attributes:
        covered: Whether the interval holds the true difference.
        shown: Whether the main metric of any model is said to differ.
        any_class: Whether any class is.
        width: Of the interval.
    """

    covered: bool
    shown: bool
    any_class: bool
    width: float


def main() -> None:
    """Run the cases and print a row for each."""
    asked = _parse_arguments()
    print(f"{'case':38} {'true':>6} {'holds it':>9} {'shown':>6} {'a class':>8} {'width':>6} {'s':>5}")
    for case in CASES:
        if asked.only in case.name:
            started = time.perf_counter()
            truth = find_true_difference(case)
            run = partial(run_trial, case, truth=truth, resamples=asked.resamples)
            trials = max(10, asked.trials // 10) if case.images >= 1000 else asked.trials
            with ProcessPoolExecutor(asked.jobs) as pool:
                chunk = max(1, trials // (8 * asked.jobs))
                found = list(pool.map(run, range(trials), chunksize=chunk))
            print(_format_row(case, truth, found, time.perf_counter() - started), flush=True)


def run_trial(case: Case, seed: int, *, truth: float, resamples: int) -> Outcome:
    """Draw test images and models, and compare the models."""
    rng = np.random.default_rng([seed, 7])
    draw = _draw_classifiers if case.classify else _draw_detectors
    found = compare_models(draw(case, rng), resamples=resamples, seed=seed)
    main = found[0].main
    return Outcome(
        main.low <= truth <= main.high,
        any(each.verdict != "no difference shown" for each in found),
        any(row.p_value < 0.05 for each in found for row in each.classes),
        main.high - main.low,
    )


def find_true_difference(case: Case) -> float:
    """Return the difference of the main metric on a population of images."""
    if not case.gap:
        return 0.0
    if case.classify:
        return _classify_rate(case.gap) - _classify_rate(0.0)
    return float(
        np.mean(
            [_measure_population(case.gap, case.shares, case.objects, seed) for seed in range(POPULATIONS)]
        )
    )


@cache
def _measure_population(gap: float, shares: tuple[float, ...], objects: float, seed: int) -> float:
    """Return the difference of both skills on the same images, of a population of its own."""
    case = Case("", POPULATION, shares=shares, objects=objects)
    scene = _draw_scene(case, np.random.default_rng([seed, 1]))
    scores = []
    for place, skill in enumerate((1.0, 1.0 + gap)):
        truths, found = _detect(scene, skill, np.random.default_rng([seed, 2 + place]), len(shares))
        aps = compute_average_precisions(build_detection_table(truths, found, len(shares)))
        scores.append(float(compute_mean_ap(aps)[0]))
    return scores[1] - scores[0]


def _draw_scene(case: Case, rng: np.random.Generator) -> Scene:
    counts = rng.poisson(case.objects, case.images)
    counts[0] = max(1, counts[0])
    owners = np.repeat(np.arange(case.images), counts)
    classes = rng.choice(len(case.shares), len(owners), p=case.shares)
    difficulty = 0.5 * rng.normal(size=case.images)[owners] + 0.6 * rng.normal(size=len(owners))
    clutter = rng.gamma(2, 1.0, case.images)
    copies = np.arange(case.copies) * case.images
    return Scene(
        np.tile(np.arange(case.images), case.copies),
        (owners + copies[:, None]).ravel(),
        np.tile(classes, case.copies),
        np.tile(difficulty, case.copies),
        np.tile(np.arange(len(owners)), case.copies),
        np.tile(clutter, case.copies),
    )


def _detect(
    scene: Scene, skill: float, rng: np.random.Generator, classes: int, shift: float = 0.0
) -> tuple[list[GroundTruth], list[Detections]]:
    """Return truth and detections of each image; a box is shifted so that it has the wanted overlap."""
    objects, images = len(scene.owners), len(scene.groups)
    shared = rng.normal(size=scene.identity.max() + 1)[scene.identity]
    noise = (shared + rng.normal(size=objects)) / math.sqrt(2)
    quality = skill + scene.difficulty + 0.8 * noise
    overlap = _squash(0.9 * quality + 0.6 + 0.3 * rng.normal(size=objects))
    score = _squash(1.2 * quality - 0.3 + 0.7 * rng.normal(size=objects) + shift)
    alarms = np.repeat(np.arange(images), rng.poisson(scene.clutter * math.exp(-0.3 * (skill - 1))))
    places = _number_within(scene.owners)
    true_boxes = np.stack([100 * places, 0 * places, 100 * places + 50, 0 * places + 50], axis=1) * 1.0
    moved = true_boxes + (50 * (1 - overlap) / (1 + overlap))[:, None] * np.array([1, 0, 1, 0])
    false = np.stack([60 * _number_within(alarms), 0 * alarms + 500], axis=1) * 1.0
    found = np.flatnonzero(quality > -0.3)
    owners = np.concatenate([scene.owners[found], alarms])
    boxes = np.concatenate([moved[found], np.hstack([false, false + 50])])
    kinds = np.concatenate([scene.classes[found], rng.integers(0, classes, len(alarms))])
    scores = np.concatenate([score[found], _squash(-1.8 + 1.2 * rng.normal(size=len(alarms)) + shift)])
    truths = [GroundTruth(*rows) for rows in _split(images, scene.owners, true_boxes, scene.classes)]
    return truths, [Detections(*rows) for rows in _split(images, owners, boxes, scores, kinds)]


def _draw_detectors(case: Case, rng: np.random.Generator) -> list[ComparedModel]:
    scene, names = _draw_scene(case, rng), tuple(f"class {place}" for place in range(len(case.shares)))
    images = _describe_images(scene.groups)
    models = []
    for place in range(case.models + 1):
        trainings = []
        for _ in range(case.trainings):
            jitter = rng.normal(0, SEED_SPREAD) if case.trainings > 1 else 0.0
            skill = 1.0 + jitter + (case.gap if place == 1 else 0.0)
            truths, found = _detect(scene, skill, rng, len(names), case.shift if place == 1 else 0.0)
            trainings.append(StoredPredictions("detect", names, "", "", images, truths, found))
        models.append(ComparedModel(str(place), tuple(trainings)))
    return models


def _draw_classifiers(case: Case, rng: np.random.Generator) -> list[ComparedModel]:
    """Draw two classifiers of three classes; the difficulty of an image is shared."""
    truth, difficulty = rng.integers(0, 3, case.images), rng.normal(size=case.images)
    names = ("one", "two", "three")
    images = tuple(
        image._replace(cls=int(cls))
        for image, cls in zip(_describe_images(np.arange(case.images)), truth, strict=True)
    )
    models = []
    for place in range(2):
        right = 1.2 + (case.gap if place else 0.0) + difficulty + rng.normal(size=case.images) > 0
        guess = np.where(right, truth, (truth + rng.integers(1, 3, case.images)) % 3)
        probabilities = np.full((case.images, 3), 0.1)
        probabilities[np.arange(case.images), guess] = 0.8
        found = StoredPredictions("classify", names, "", "", images, probabilities=probabilities)
        models.append(ComparedModel(str(place), (found,)))
    return models


def _classify_rate(gap: float) -> float:
    return 0.5 * math.erfc(-(1.2 + gap) / 2)  # the noise of image and model together has a variance of 2


def _describe_images(groups: np.ndarray) -> tuple[PredictedImage, ...]:
    return tuple(
        PredictedImage(place + 1, f"{place:06d}", f"{place:06d}", "", 100, 100, "", str(group))
        for place, group in enumerate(groups.tolist())
    )


def _split(images: int, owners: np.ndarray, *columns: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """Return the rows of each image."""
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=images))[:-1]
    return list(zip(*(np.split(column[order], ends) for column in columns), strict=True))


def _number_within(owners: np.ndarray) -> np.ndarray:
    """Number the members of each owner from 0; members of one owner are adjacent."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    lengths = np.diff(np.append(starts, len(owners)))
    return np.arange(len(owners)) - np.repeat(starts, lengths)


def _squash(values: np.ndarray) -> np.ndarray:
    squashed: np.ndarray = 1 / (1 + np.exp(-values))
    return squashed


def _format_row(case: Case, truth: float, found: Sequence[Outcome], seconds: float) -> str:
    share: Callable[[str], float] = lambda name: 100 * float(np.mean([getattr(each, name) for each in found]))  # noqa: E731
    width = float(np.mean([each.width for each in found]))
    return (
        f"{case.name:38} {truth:+.3f} {share('covered'):8.1f}% {share('shown'):5.1f}% "
        f"{share('any_class'):7.1f}% {width:6.3f} {seconds:5.0f}"
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
