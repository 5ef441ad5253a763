"""A comparison with everything that a reader has to know: models, test data, differences, remarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pipeline.comparison.compare_models import ComparedModel, align_models, compare_models, has_thresholds
from pipeline.comparison.comparison_result import ModelComparison, PairedDifference
from pipeline.comparison.models.candidates import Candidate
from pipeline.comparison.models.model_differences import ModelDifference, list_model_differences
from pipeline.comparison.statistics.cluster_resamples import merge_groups
from pipeline.core.tasks import Task
from pipeline.iterations.differences import has_other_code
from pipeline.iterations.iteration import Iteration

MAX_NAME_LENGTH: Final = 250
"""Characters of the name of a run in MLflow's databases, some of which refuse longer ones."""


class ComparedSplit(NamedTuple):
    """What the models were compared on.

    Attributes:
        task: The task.
        data: Digest of the prepared dataset.
        images: Number of test images.
        groups: Number of groups that are resampled: near copies, and images of one group of data.group_by,
            are one, where the predictions of any model say so.
        objects: Number of true objects that count; of classify the images.
    """

    task: Task
    data: str
    images: int
    groups: int
    objects: int


class ComparisonReport(NamedTuple):
    """A comparison for people.

    Attributes:
        name: `compare A B`.
        models: The models; the first one is what the others are compared with.
        test: The test images.
        differences: In what the models differ beside their scores.
        comparisons: Of each other model with the first one.
        remarks: What a reader has to know, a sentence each.
        resamples: Of the test images.
        seed: Of the resamples.
    """

    name: str
    models: tuple[Candidate, ...]
    test: ComparedSplit
    differences: tuple[ModelDifference, ...]
    comparisons: tuple[ModelComparison, ...]
    remarks: tuple[str, ...]
    resamples: int
    seed: int


def build_report(
    candidates: Sequence[Candidate],
    models: Sequence[ComparedModel],
    *,
    remarks: Sequence[str],
    resamples: int,
    seed: int,
) -> ComparisonReport:
    """Compare the models and collect what a reader has to know.

    Args:
        candidates: The models.
        models: Their predictions, in the same order.
        remarks: What is known already.
        resamples: Of the test images.
        seed: Of the resamples.

    Raises:
        UserError: The models are of different tasks, classes or test data.
    """
    models = align_models(models)
    comparisons = compare_models(models, resamples=resamples, seed=seed)
    test = models[0].trainings[0]
    groups = merge_groups([[image.group for image in each.images] for of in models for each in of.trainings])
    split = ComparedSplit(
        test.task,
        test.data,
        len(test.images),
        int(groups.max()) + 1,
        comparisons[0].main.objects,
    )
    return ComparisonReport(
        _name_report([candidate.label for candidate in candidates]),
        tuple(candidates),
        split,
        tuple(list_model_differences(candidates)),
        comparisons,
        (*remarks, *_remark_on_thresholds(models), *remark_on_seeds(candidates)),
        resamples,
        seed,
    )


def _name_report(labels: Sequence[str]) -> str:
    """Return the name of the run: MLflow's databases have room for 250 characters."""
    for count in range(len(labels), 0, -1):
        left = f" and {len(labels) - count} more" if count < len(labels) else ""
        name = f"compare {' '.join(labels[:count])}{left}"
        if len(name) <= MAX_NAME_LENGTH:
            return name
    return f"compare {len(labels)} models"


def describe_verdicts(report: ComparisonReport) -> list[str]:
    """Return the verdict of each comparison; of several, each names its model."""
    return [
        found.sentence
        if len(report.comparisons) == 1 or found.second in found.sentence
        else f"{found.second}: {found.sentence}"
        for found in report.comparisons
    ]


def _remark_on_thresholds(models: Sequence[ComparedModel]) -> list[str]:
    """Return a sentence about the models of which there is no precision, recall and F1 of detections."""
    unknown = [model.label for model in models if not has_thresholds(model)]
    if not unknown or models[0].trainings[0].task == "classify":
        return []
    return [
        f"precision, recall and F1 are not compared with {', '.join(unknown)}: their threshold is chosen on "
        "val, and there are no predictions on val, or no objects"
    ]


def remark_on_seeds(candidates: Sequence[Candidate]) -> list[str]:
    """Return a sentence about what the trainings of each model allow to conclude."""
    found = [
        f"whether the trainings of {candidate.label} had the same code is not known: {doubt}"
        for candidate in candidates
        if (doubt := _doubt_code(candidate.iterations))
    ]
    return found + _remark_on_number(candidates)


def _doubt_code(trainings: Sequence[Iteration]) -> str:
    """Return why it is not known whether trainings had the same code; empty where it is known."""
    if all(has_other_code(trainings[0], each) is not None for each in trainings[1:]):
        return ""
    if any(each.facts.get("dirty") for each in trainings):
        return "some had changes that were not committed"
    if all(each.facts.get("commit") for each in trainings):
        return "they have other commits, of which some are not in this clone (git fetch --all)"
    return "no commit is recorded of some"


def _remark_on_number(candidates: Sequence[Candidate]) -> list[str]:
    single = [candidate.label for candidate in candidates if len(candidate.iterations) == 1]
    if len(single) == len(candidates):
        return [
            "one training each: this compares their weights, and not their configurations, "
            "which another seed may rank otherwise"
        ]
    if single:
        return [f"the seeds of {', '.join(single)} are taken to vary as much as those of the other models"]
    return []


def report_to_json(report: ComparisonReport) -> dict[str, Any]:
    """Convert a comparison to JSON values."""
    return {
        "name": report.name,
        "task": report.test.task,
        "test": {
            "data": report.test.data,
            "images": report.test.images,
            "groups": report.test.groups,
            "objects": report.test.objects,
        },
        "models": [_model_to_json(candidate) for candidate in report.models],
        "differences": {row.name: list(row.values) for row in report.differences},
        "comparisons": [_comparison_to_json(each) for each in report.comparisons],
        "remarks": list(report.remarks),
        "resamples": report.resamples,
        "seed": report.seed,
    }


def _model_to_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "label": candidate.label,
        "trainings": [
            {
                "reference": each.reference,
                "kind": each.kind,
                "run": each.run_id,
                "revision": each.revision,
                "version": each.version,
                "weights": each.sha256,
                "data": each.data,
            }
            for each in candidate.iterations
        ],
    }


def _comparison_to_json(found: ModelComparison) -> dict[str, Any]:
    return {
        "first": found.first,
        "second": found.second,
        "verdict": found.verdict,
        "sentence": found.sentence,
        "needed_images": found.needed_images,
        "main": _difference_to_json(found.main),
        "figures": [_difference_to_json(each) for each in found.figures],
        "classes": [_difference_to_json(each) for each in found.classes],
        "slices": [_difference_to_json(each) for each in found.slices],
    }


def _difference_to_json(found: PairedDifference) -> dict[str, Any]:
    """Return all values; six decimals: further ones differ between machines."""
    values = found._asdict() | {"difference": found.difference}
    return {
        name: float(f"{value:.6g}")
        if name == "p_value"
        else round(value, 6)
        if isinstance(value, float)
        else value
        for name, value in values.items()
    }
