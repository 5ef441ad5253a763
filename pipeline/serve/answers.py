"""Turn predictions into the JSON of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.uploads.parse_upload import PredictOptions
from pipeline.yolo.inference.masks import trace_outlines

DEFAULT_TOP: Final = 5
"""Classes of an image that classify answers."""
PIXEL_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 5


def format_prediction(
    prediction: Detections | NDArray[np.float64],
    size: Sequence[int],
    model: ModelIdentity,
    options: PredictOptions,
) -> dict[str, Any]:
    """Return the answer for one image.

    Args:
        prediction: Detections, or the probabilities (classes,) of classify.
        size: Height and width of the image in pixels.
        model: It made the prediction.
        options: What the request asks for.

    Returns:
        `width`, `height`, and `objects` (class, name, score, box: x1 y1 x2 y2, and polygon, corners or
        keypoints) or, of classify, `classes` (class, name, probability).

    Raises:
        ValueError: The model's output is not a number.
    """
    answer: dict[str, Any] = {"width": int(size[1]), "height": int(size[0])}
    if not isinstance(prediction, Detections):
        return answer | {"classes": _list_classes(prediction, model, options.top or DEFAULT_TOP)}
    if options.conf is not None:
        prediction = prediction.select(prediction.scores >= options.conf)
    return answer | {"objects": list(_iterate_objects(prediction, model))}


def _list_classes(probabilities: NDArray[np.float64], model: ModelIdentity, top: int) -> list[dict[str, Any]]:
    if not np.isfinite(probabilities).all():
        raise ValueError("the probabilities are not numbers")
    best = np.argsort(-probabilities, kind="stable")[:top].tolist()
    return [
        {
            "class": cls,
            "name": model.names[cls],
            "probability": round(float(probabilities[cls]), SCORE_DECIMALS),
        }
        for cls in best
    ]


def _iterate_objects(found: Detections, model: ModelIdentity) -> Iterator[dict[str, Any]]:
    for index, cls in enumerate(found.classes.tolist()):
        yield {
            "class": cls,
            "name": model.names[cls],
            "score": round(float(found.scores[index]), SCORE_DECIMALS),
            "box": _round_pixels(found.boxes[index]),
            **_describe_shape(found, index, model),
        }


def _describe_shape(found: Detections, index: int, model: ModelIdentity) -> dict[str, Any]:
    if model.task == "segment":  # not the stored outlines, which are those of the first objects only
        return {"polygon": _round_pixels(trace_outlines([found.masks[index]])[0])}
    if model.task == "obb":
        return {"corners": _round_pixels(found.outlines[index])}
    if model.task == "pose" and found.keypoints is not None:
        return {"keypoints": _round_pixels(found.keypoints[index])}
    return {}


def _round_pixels(values: NDArray[np.float64]) -> Any:
    if not np.isfinite(values).all():
        raise ValueError("the coordinates are not numbers")
    return np.round(values, PIXEL_DECIMALS).tolist()
