"""Score all trainings of a learning curve on the same resamples of the test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np

from pipeline.comparison.align_predictions import align_predictions
from pipeline.comparison.compared_images import build_compared_images
from pipeline.comparison.model_scores import score_main_figure
from pipeline.comparison.statistics.curve_forecast import CurveScores
from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.errors import UserError
from pipeline.core.paths import EVALUATION_FOLDER
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.iterations.fetch_predictions import PREDICTIONS_FOLDER
from pipeline.storage.dvc_repository import RevisionReadError, copy_path_at_revision
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.sweep.learning_curve.curve_size import CurveSize

RESAMPLES: Final = 1000


class ResampledScores(NamedTuple):
    """The scores of a learning curve.

    Attributes:
        curve: The scores, and resamples of the test images where the predictions are known.
        problem: Why they are not known, in a sentence; empty if they are.
    """

    curve: CurveScores
    problem: str = ""


def resample_scores(sizes: Sequence[CurveSize], *, seed: int) -> ResampledScores:
    """Score all trainings on the same resamples; where predictions cannot be read, take the known scores.

    Args:
        sizes: One or more, each with as many trainings.
        seed: Of the resamples.
    """
    images = np.array([size.images for size in sizes])
    try:
        with TemporaryDirectory(dir=create_scratch_folder("sweeps"), prefix=".curve-") as folder:
            found = _score_all(sizes, Path(folder), seed)
    except (RevisionReadError, UserError) as error:
        known = np.array([size.test for size in sizes])
        reason = " ".join(str(error).split())[:200]
        problem = f"the intervals know the trainings alone, and not the chance of the test images: {reason}"
        return ResampledScores(CurveScores(images, known, np.zeros((len(sizes), 0)), 1), problem)
    drawn = (found.scores[:, :, 1:] - found.scores[:, :, :1]).mean(axis=1)
    return ResampledScores(CurveScores(images, found.scores[:, :, 0], drawn, found.groups, found.chance))


class _TestScores(NamedTuple):
    """The scores (sizes, trainings, 1 + resamples), first on all images; groups with an object; chance."""

    scores: FloatArray
    groups: int
    chance: float


def _score_all(sizes: Sequence[CurveSize], folder: Path, seed: int) -> _TestScores:
    first = fetch_test_predictions(sizes[0].commits[0], folder / "0-0")
    test = build_compared_images(align_predictions([first], [""]), RESAMPLES, seed=seed)
    weights = test.resamples.weights[: 1 + test.resamples.times]
    scores = [
        [
            _score(first, commit, folder / f"{place}-{number}", weights)
            for number, commit in enumerate(size.commits)
        ]
        for place, size in enumerate(sizes)
    ]
    chance = 1 / len(first.names) if first.task == "classify" else 0.0
    return _TestScores(np.array(scores), test.count_groups(test.has_objects), chance)


def _score(first: StoredPredictions, commit: str, folder: Path, weights: IntArray) -> FloatArray:
    """Score one training: one at a time, since the predictions of all may be large."""
    found = first if folder.exists() else fetch_test_predictions(commit, folder)
    return score_main_figure(align_predictions([first, found], [commit[:7]] * 2)[1], weights)


def fetch_test_predictions(commit: str, folder: Path) -> StoredPredictions:
    """Fetch the stored test predictions of a training.

    Args:
        commit: Of its experiment.
        folder: A new folder, which stays as long as the predictions are used.

    Raises:
        RevisionReadError: They are not in DVC's cache.
        UserError: They cannot be read.
    """
    copy_path_at_revision(EVALUATION_FOLDER / PREDICTIONS_FOLDER, commit, folder)
    return read_stored_predictions(folder, "test")
