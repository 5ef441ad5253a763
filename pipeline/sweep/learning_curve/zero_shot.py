"""A model that finds the classes by words, without training, beside the trainings of a learning curve."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from pipeline.comparison.align_predictions import align_predictions
from pipeline.comparison.compared_images import build_compared_images
from pipeline.comparison.model_scores import score_main_figure
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.runtime.progress import print_notice
from pipeline.storage.dvc_repository import RevisionReadError
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.sweep.learning_curve.curve_size import LearningCurve, ZeroShotScore
from pipeline.sweep.learning_curve.resample_tests import RESAMPLES, fetch_test_predictions

STAGE: Final = "learning-curve"


def add_zero_shot(curve: LearningCurve, config: Config, *, seed: int) -> LearningCurve:
    """Add the score of the model that zero_shot.weights names, on the test images of the trainings.

    What is in the way is a remark: the curve itself does not need this model.

    Args:
        curve: The learning curve.
        config: `zero_shot`, `model.folder`, `evaluate`, and of `finetune` device and threads are used.
        seed: Of the resamples of the test images.
    """
    if config.zero_shot.weights is None or not curve.sizes:
        return curve
    try:
        with TemporaryDirectory(dir=create_scratch_folder("sweeps"), prefix=".zero-shot-") as folder:
            found = _score(curve.sizes[0].commits[0], config, Path(folder), seed)
    except (RevisionReadError, UserError) as error:
        reason = " ".join(str(error).split())
        return curve._replace(remarks=(*curve.remarks, f"no zero-shot score: {reason}"))
    return curve._replace(zero_shot=found, remarks=(*curve.remarks, *found.remarks))


def _score(commit: str, config: Config, folder: Path, seed: int) -> ZeroShotScore:
    """Predict on the test images of a training, and score the predictions on their resamples."""
    from pipeline.comparison.models.zero_shot import predict_zero_shot

    print_notice(f"{STAGE}: {config.zero_shot.weights} predicts on test without training")
    asked = predict_zero_shot(config, commit, folder / "zero-shot", stage=STAGE)
    first = fetch_test_predictions(commit, folder / "trained")
    trained, own = align_predictions([first, asked.test], [commit[:7], asked.label])
    test = build_compared_images([trained], RESAMPLES, seed=seed)
    scores = score_main_figure(own, test.resamples.weights[: 1 + test.resamples.times])
    low, high = np.quantile(scores[1:], (0.025, 0.975)) if len(scores) > 1 else (scores[0], scores[0])
    figures = float(scores[0]), float(low), float(high)
    return ZeroShotScore(asked.label, asked.sha256, asked.words, *figures, asked.remarks)
