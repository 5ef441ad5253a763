"""Tell model output from labels: detections have a score."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.errors import UserError
from pipeline.core.text import format_count

SCORE_KEYS: Final = (
    *("score", "confidence", "conf", "probability", "prob", "p", "certainty", "likelihood"),
    *("confidence_score", "conf_score", "pred_score", "prediction_score", "detection_score", "class_score"),
    *("box_score", "bbox_score", "box_conf", "class_conf", "pred_conf", "objectness", "konfidenz"),
)
"""Names under which models write how sure they are, in lower case."""
_SCORE_KEYS: Final = frozenset(SCORE_KEYS)
PREDICTIONS_ADVICE: Final = "data.predictions=labels reads them as labels"

_MAX_SCORED_SHARE: Final = 0.2
"""If more objects have a score, a model has written them, unless people have checked them."""

_VISIBILITIES: Final = (0, 1, 2)
_POSE_TASKS: Final = frozenset({"auto", "pose"})
_MIN_ODD_POINTS: Final = 3
"""Fewer keypoints with an odd visibility may be single mistakes."""

_PREDICTION_WORDS: Final = frozenset(
    {
        *("pred", "preds", "predicted", "prediction", "predictions", "inference", "inferences"),
        *("detection", "detections", "dets", "dt", "result", "results"),
    }
)


def get_score(row: Mapping[str, Any]) -> float | None:
    """Return the score of an object, 0 to 1; None if it has none."""
    if _SCORE_KEYS.isdisjoint(row):
        return None
    for key in SCORE_KEYS:
        value = row.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
    return None


def parse_score(text: str) -> float | None:
    """Return the score in a text, 0 to 1; None if it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def have_scores(scores: Sequence[float | None]) -> bool:
    """Check whether all objects have a score."""
    return bool(scores) and None not in scores


def are_certain(scores: Sequence[float | None]) -> bool:
    """Check whether all scores are 1, as tools write for labels drawn by hand, or marks of 0 and 1."""
    return bool(scores) and set(scores) <= {0.0, 1.0}


def check_object_scores(scores: Sequence[float | None], policy: str, folder: Path) -> list[str]:
    """Refuse objects of which many have a score; tell of a few.

    For formats of tools in which people correct what a model has drawn, and the score stays.

    Args:
        scores: The score of each object; None if it has none.
        policy: As in data.predictions.
        folder: The source folder.

    Raises:
        UserError: Many objects have a score.
    """
    found = [score for score in scores if score is not None]
    if policy == "labels" or not found or are_certain(found):
        return []
    number = f"{len(found):,} of {format_count(len(scores), 'object')}"
    if len(found) > _MAX_SCORED_SHARE * len(scores):
        raise UserError(
            f"{number} in {folder} have a score, as the output of a model has: if people have checked them, "
            "set data.predictions=labels"
        )
    return [f"{number} have a score, as a model writes it: they are read as labels"]


def check_visibilities(found: Sequence[tuple[str, FloatArray]], policy: str, task: str) -> None:
    """Refuse keypoints of which more than a fifth have another visibility than 0, 1 or 2.

    One below 0 means not labelled, as 0 does.

    Args:
        found: The name of each image or label file, and (n,) the visibilities of the keypoints in it.
        policy: As in data.predictions; labels allows the confidences of a model, also beside 1 and 2.
        task: As in data.task: keypoints are of use for pose alone, or for auto.

    Raises:
        UserError: They have.
    """
    if task not in _POSE_TASKS:
        return
    every = np.concatenate([np.zeros(0), *(values for _, values in found)])
    odd = _are_odd(every)
    if odd.sum() < _MIN_ODD_POINTS or odd.mean() <= _MAX_SCORED_SHARE:
        return
    name = next(name for name, values in found if _are_odd(values).any())
    what = (
        f"{int(odd.sum()):,} of {format_count(len(odd), 'keypoint')} have a visibility such as "
        f"{every[odd][0]:.6g} in {name}"
    )
    if not (every[odd] <= _VISIBILITIES[-1]).all():
        raise UserError(f"{what}: it must be 0 (not labelled), 1 (hidden) or 2 (visible): correct the labels")
    if policy != "labels":
        raise UserError(
            f"{what}: these look like the confidences of a model, not like labels: if they are labels, set "
            "data.predictions=labels"
        )


def _are_odd(visibilities: FloatArray) -> BoolArray:
    """Return (n,) which visibilities are none: not labelled, hidden or visible; NaN is none."""
    return ~(visibilities <= 0) & ~np.isin(visibilities, _VISIBILITIES)


def is_named_like_predictions(stem: str) -> bool:
    """Check whether a file name says that it holds model output."""
    return not _PREDICTION_WORDS.isdisjoint(re.split(r"[^a-z]+", stem.lower()))


def repeat_images(names: Collection[str], others: Collection[str]) -> bool:
    """Check whether at least half of the images of a file are those of other files."""
    return bool(names) and 2 * len(set(names) & set(others)) >= len(set(names))
