"""The figures of two models and their differences, on the same resamples of the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from pipeline.comparison.compared_images import SLICE_RESAMPLES, ComparedImages
from pipeline.comparison.model_scores import ModelScores
from pipeline.comparison.statistics.cluster_resamples import ClusterResamples
from pipeline.comparison.statistics.paired_interval import DifferenceEstimate, Evidence, estimate_difference
from pipeline.comparison.statistics.rare_classes import ClassParts
from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.metric_names import TOP1, get_main_metric
from pipeline.evaluate.further_metric_names import ECE


class FigureDifference(NamedTuple):
    """One figure of two models.

    Attributes:
        name: Of the figure, class or slice.
        estimate: Of the difference.
        images: On how many images it rests.
        objects: On how many objects.
    """

    name: str
    estimate: DifferenceEstimate
    images: int
    objects: int


class PairFigures(NamedTuple):
    """The figures of a model and the first one.

    Attributes:
        main: The figure that ranks the task.
        figures: All others.
        classes: The main figure by class, for classes with test objects.
        slices: The main figure by slice, for slices with objects.
    """

    main: FigureDifference
    figures: list[FigureDifference]
    classes: list[FigureDifference]
    slices: list[FigureDifference]


class ComparedPair(NamedTuple):
    """The scores of two models.

    Attributes:
        first: Of each training of the first model.
        second: Of each training of the second model.
        others: Of each training of the other models of the comparison, whose seeds tell how much the figures
            vary with the seed where these two have one training each.
    """

    first: Sequence[ModelScores]
    second: Sequence[ModelScores]
    others: Sequence[Sequence[ModelScores]] = ()

    @property
    def trainings(self) -> tuple[ModelScores, ...]:
        """The scores of all trainings of the two models."""
        return (*self.first, *self.second)


class PairValues(NamedTuple):
    """One figure of two models, each (trainings, weightings).

    Attributes:
        first: Of the first model.
        second: Of the second model.
        others: Of the other models; see `ComparedPair`.
    """

    first: FloatArray
    second: FloatArray
    others: Sequence[FloatArray]


def compare_pair(pair: ComparedPair, test: ComparedImages) -> PairFigures:
    """Compare two models.

    Args:
        pair: Their scores.
        test: The images.
    """
    main_name = get_main_metric(test.task)
    names = pair.first[0].figures
    shared = [name for name in names if all(name in each.figures for each in pair.trainings)]
    figures = {name: _compare_figure(name, pair, test) for name in shared}
    main = figures.pop(main_name)
    return PairFigures(
        main,
        [*figures.values(), *_compare_sizes(pair, test)],
        list(_compare_classes(pair, test)),
        list(_compare_slices(pair, test)),
    )


def _collect_values(pair: ComparedPair, read: Callable[[ModelScores], FloatArray]) -> PairValues:
    """Collect a figure (weightings,) of each training, which `read` takes from its scores."""
    models = (pair.first, pair.second, *pair.others)
    first, second, *others = (np.stack([read(each) for each in model]) for model in models)
    return PairValues(first, second, others)


def _compare_figure(name: str, pair: ComparedPair, test: ComparedImages) -> FigureDifference:
    differs = _find_differing_images(pair, name)
    decisive = None if differs is None else test.count_groups(differs)
    known = [model for model in pair.others if all(name in each.figures for each in model)]
    values = _collect_values(pair._replace(others=known), lambda each: each.figures[name])
    objects = test.get_objects(name)
    held = np.asarray(objects.any(axis=1))
    groups = test.resamples.group_count if name == ECE else test.count_groups(held)
    parts = _collect_parts(name, pair, test.find_class_groups(objects))
    estimate = _estimate_part(values, test.resamples, groups, decisive=decisive, parts=parts)
    return FigureDifference(name, estimate, len(objects), int(objects.sum()))


def _find_differing_images(pair: ComparedPair, name: str) -> BoolArray | None:
    """Return on which images (images,) the trainings differ; None if the figure is no share of images."""
    rows = np.array([each.outcomes[name] for each in pair.trainings if name in each.outcomes])
    return (rows != rows[0]).any(axis=0) if len(rows) else None


def _compare_sizes(pair: ComparedPair, test: ComparedImages) -> Iterator[FigureDifference]:
    resamples = test.resamples.limit(SLICE_RESAMPLES)
    for name, figure in pair.first[0].sizes.items():
        where = np.asarray(figure.objects.any(axis=1))
        values = _collect_values(pair, partial(_get_size, name))
        sides = (pair.first, pair.second)
        classes = [np.stack([each.sizes[name].classes for each in side]) for side in sides]
        parts = ClassParts(classes[0], classes[1], test.find_class_groups(figure.objects))
        estimate = _estimate_part(values, resamples, test.count_groups(where), parts=parts)
        yield FigureDifference(name, estimate, int(where.sum()), int(figure.objects.sum()))


def _compare_classes(pair: ComparedPair, test: ComparedImages) -> Iterator[FigureDifference]:
    differs = _find_differing_images(pair, TOP1)
    for cls in np.flatnonzero(test.objects.any(axis=0)).tolist():
        where = test.objects[:, cls] > 0
        values = _collect_values(pair, partial(_get_class, cls))
        decisive = None if differs is None else test.count_groups(where & differs)
        estimate = _estimate_part(values, test.resamples, test.count_groups(where), decisive=decisive)
        objects = int(test.objects[:, cls].sum())
        yield FigureDifference(test.names[cls], estimate, int(where.sum()), objects)


def _compare_slices(pair: ComparedPair, test: ComparedImages) -> Iterator[FigureDifference]:
    resamples = test.resamples.limit(SLICE_RESAMPLES)
    differs = _find_differing_images(pair, TOP1)
    for name in pair.first[0].slices:
        where = test.slices[name]
        values = _collect_values(pair, partial(_get_slice, name))
        decisive = None if differs is None else test.count_groups(where & differs)
        groups = test.count_groups(where & test.has_objects)
        parts = _collect_parts(name, pair, test.find_class_groups(test.objects * where[:, None]))
        estimate = _estimate_part(values, resamples, groups, decisive=decisive, parts=parts)
        yield FigureDifference(name, estimate, int(where.sum()), int(test.objects[where].sum()))


def _get_size(name: str, scores: ModelScores) -> FloatArray:
    return scores.sizes[name].values


def _get_class(cls: int, scores: ModelScores) -> FloatArray:
    return scores.classes[:, cls]


def _get_slice(name: str, scores: ModelScores) -> FloatArray:
    return scores.slices[name]


def _collect_parts(name: str, pair: ComparedPair, held: BoolArray) -> ClassParts | None:
    """Collect the classes of a figure or slice; None if it is no mean over classes."""
    if name not in pair.first[0].parts:
        return None
    values = [np.stack([each.parts[name] for each in side]) for side in (pair.first, pair.second)]
    return ClassParts(values[0], values[1], held)


def _estimate_part(
    values: PairValues,
    resamples: ClusterResamples,
    groups: int,
    *,
    decisive: int | None = None,
    parts: ClassParts | None = None,
) -> DifferenceEstimate:
    """Estimate the difference of a figure, class, size or slice.

    Where both models have one and the same value in all resamples, as of a class that both find without a
    fault, their outcomes are equal on every image; so too where they have it of each class.

    Args:
        values: Of the two models.
        resamples: The weightings.
        groups: Number of groups that the figure rests on: those with an object. An image without one can only
            add false alarms; it is no evidence of what a model finds.
        decisive: Of these, on how many the models can differ; `groups` by default.
        parts: The values of the classes, of a mean over them.
    """
    known = np.concatenate([values.first, values.second])
    known = known[~np.isnan(known)]
    if (len(known) and not np.ptp(known)) or (parts is not None and parts.are_constant()):
        decisive = 0
    evidence = Evidence(groups, decisive, parts, values.others)
    return estimate_difference(values.first, values.second, resamples, evidence)
