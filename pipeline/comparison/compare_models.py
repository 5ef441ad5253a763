"""Compare models on the same test images: every figure with its paired difference, by class and by slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from pipeline.comparison.align_predictions import align_predictions
from pipeline.comparison.compared_images import ComparedImages, build_compared_images
from pipeline.comparison.comparison_result import ModelComparison, PairedDifference
from pipeline.comparison.model_scores import ModelScores, score_predictions
from pipeline.comparison.pair_figures import ComparedPair, FigureDifference, PairFigures, compare_pair
from pipeline.comparison.statistics.multiple_testing import adjust_holm
from pipeline.comparison.statistics.paired_interval import SIGNIFICANCE
from pipeline.comparison.verdict import judge_difference
from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.runtime.worker_count import choose_worker_count

MIN_RESAMPLES: Final = 2000
"""The interval of a difference needs them, also where evaluate.bootstrap is smaller or 0."""


class ComparedModel(NamedTuple):
    """A model to compare: one training, or several that differ in their seed alone.

    Attributes:
        label: Its name for people.
        trainings: The predictions of each training on the test split.
        thresholds: Of each training, the score from which a detection counts, as chosen on val; None where
            it is unknown.
    """

    label: str
    trainings: tuple[StoredPredictions, ...]
    thresholds: tuple[float | None, ...] = ()


def choose_resamples(evaluate: EvaluateConfig) -> int:
    """Choose the number of resamples: one for all commands, so that the same two models get one figure."""
    return max(evaluate.bootstrap, MIN_RESAMPLES)


def compare_predictions(
    first: StoredPredictions, second: StoredPredictions, *, labels: tuple[str, str], resamples: int, seed: int
) -> ModelComparison:
    """Compare the predictions of two trainings; see `compare_models`, of which this has no thresholds.

    Args:
        first: On the test split.
        second: On the same images, in any order.
        labels: The names of the models for people.
        resamples: Of the test images; 200 or more.
        seed: Of the resamples.

    Raises:
        UserError: Task, classes, images or labels differ.
    """
    models = [ComparedModel(label, (found,)) for label, found in zip(labels, (first, second), strict=True)]
    return compare_models(models, resamples=resamples, seed=seed)[0]


def compare_models(
    models: Sequence[ComparedModel], *, resamples: int, seed: int
) -> tuple[ModelComparison, ...]:
    """Compare each model with the first one, on the same resamples of the same images.

    A model with one training is taken to vary with its seed as the models do that have several.

    P-values are adjusted by Holm: of the main figure over the models, of other figures, of classes and of
    slices over all of them and all models.

    Args:
        models: Two or more.
        resamples: Of the test images; 200 or more.
        seed: Of the resamples.

    Raises:
        UserError: Task, classes, images or labels differ.
    """
    models = align_models(models)
    found = [training for model in models for training in model.trainings]
    test = build_compared_images(found, resamples, seed=seed)
    scores = _score_models(models, test)
    pairs = [compare_pair(pair, test) for pair in _list_pairs(scores)]
    return tuple(_judge_pairs(pairs, [model.label for model in models]))


def has_thresholds(model: ComparedModel) -> bool:
    """Tell whether the threshold of each training is known: precision, recall and F1 need it."""
    return bool(model.thresholds) and None not in model.thresholds


def align_models(models: Sequence[ComparedModel]) -> list[ComparedModel]:
    """Return the models with all predictions in one order of images; see `align_predictions`.

    Raises:
        UserError: Task, classes, images or labels differ.
    """
    found = [training for model in models for training in model.trainings]
    aligned = iter(align_predictions(found, [model.label for model in models for _ in model.trainings]))
    return [model._replace(trainings=tuple(next(aligned) for _ in model.trainings)) for model in models]


def _score_models(models: Sequence[ComparedModel], test: ComparedImages) -> list[list[ModelScores]]:
    """Score each training of each model, in threads: numpy releases Python's global lock."""
    with ThreadPoolExecutor(choose_worker_count(0)) as pool:
        work = [
            [
                pool.submit(score_predictions, found, test, threshold=threshold)
                for found, threshold in zip(
                    model.trainings,
                    model.thresholds if has_thresholds(model) else (None,) * len(model.trainings),
                    strict=True,
                )
            ]
            for model in models
        ]
        return [[each.result() for each in of_model] for of_model in work]


def _list_pairs(scores: Sequence[Sequence[ModelScores]]) -> Iterator[ComparedPair]:
    """Yield the first model with each other one, and the rest of the models."""
    first, *others = scores
    for place, second in enumerate(others):
        yield ComparedPair(first, second, [*others[:place], *others[place + 1 :]])


def _judge_pairs(pairs: Sequence[PairFigures], labels: Sequence[str]) -> Iterator[ModelComparison]:
    """Adjust the p-values over all pairs, and judge the main figure of each."""
    mains = _adjust([[pair.main] for pair in pairs])
    figures = _adjust([pair.figures for pair in pairs])
    classes = _adjust([pair.classes for pair in pairs])
    slices = _adjust([pair.slices for pair in pairs])
    for place, (pair, label) in enumerate(zip(pairs, labels[1:], strict=True)):
        main = mains[place][0]
        judgment = judge_difference(pair.main.estimate, label, images=main.images, p_value=main.p_value)
        yield ModelComparison(
            first=labels[0],
            second=label,
            main=main,
            figures=tuple(figures[place]),
            classes=tuple(sort_differences(classes[place])),
            slices=tuple(sort_differences(slices[place])),
            verdict=judgment.verdict,
            sentence=judgment.sentence,
            needed_images=judgment.needed_images,
        )


def sort_differences(found: Iterable[PairedDifference]) -> list[PairedDifference]:
    """Sort differences: those that are shown first, each kind by descending size."""
    return sorted(found, key=lambda each: (each.p_value >= SIGNIFICANCE, -abs(each.difference)))


def _adjust(pairs: Sequence[Sequence[FigureDifference]]) -> list[list[PairedDifference]]:
    """Adjust the p-values of figures that are looked at together: those of all pairs."""
    p_values = iter(adjust_holm([each.estimate.p_value for pair in pairs for each in pair]))
    return [[_finish(each, next(p_values)) for each in pair] for pair in pairs]


def _finish(found: FigureDifference, p_value: float) -> PairedDifference:
    estimate = found.estimate
    low, high = estimate.interval
    return PairedDifference(
        found.name, estimate.first, estimate.second, low, high, p_value, found.images, found.objects
    )
