"""Input, output and parameters of the served model, as MLflow and people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.core.tasks import Task

_BOX: Final = dict.fromkeys(("x1", "y1", "x2", "y2", "score"), "double")


_CLASS: Final = {"class": "long", "name": "string"}


OUTPUT_COLUMNS: Final[dict[Task, dict[str, str]]] = {
    "detect": {"image": "long", **_BOX, **_CLASS},
    "segment": {"image": "long", **_BOX, **_CLASS, "polygon": "points"},
    "pose": {"image": "long", **_BOX, **_CLASS, "keypoints": "points"},
    "obb": {
        "image": "long",
        **dict.fromkeys(("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "score"), "double"),
        **_CLASS,
    },
    "classify": {"image": "long", "score": "double", **_CLASS},
}
"""Columns of a prediction and their types; points are lists of lists of numbers."""


INPUT_DESCRIPTION: Final = (
    "a list of images: base64 text, bytes of an image file, local paths, or arrays of uint8: height x width "
    "(grey), x 1 (grey), x 3 (RGB) or x 4 (RGBA, whose alpha is ignored)"
)


OUTPUT_DESCRIPTIONS: Final[dict[Task, str]] = {
    "detect": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image",
    "segment": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "polygon: the outline as a list of [x, y], pixels",
    "pose": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "keypoints: a list of [x, y], pixels, or [x, y, confidence]",
    "obb": "a row per object; image: its place in the input; x1 y1 to x4 y4: its corners in pixels",
    "classify": "a row per image and class, the most probable first; image: its place in the input; "
    "score: the probability",
}


PARAM_TYPES: Final[dict[str, str]] = {
    "conf": "double",
    "iou": "double",
    "max_det": "long",
    "imgsz": "long",
    "tile": "long",
    "overlap": "double",
    "top": "long",
}
"""Types of the arguments of a prediction."""


ULTRALYTICS_DEFAULTS: Final[dict[str, float]] = {"conf": 0.25, "iou": 0.7, "max_det": 300}
"""Defaults until an evaluation has chosen the threshold on val."""


TILE_PARAMS: Final = ("tile", "overlap")
"""Parameters of a model that was evaluated on tiles."""


CLASSIFY_DEFAULTS: Final[dict[str, float]] = {"top": 5}


def build_signature(task: Task, defaults: Mapping[str, float]) -> Any:
    """Build MLflow's signature of the model: inputs, output columns and parameters.

    Args:
        task: Decides columns and parameters.
        defaults: Defaults of parameters that differ from Ultralytics' own, such as imgsz.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array

    types = {name: DataType[name] for name in ("long", "double", "string")}
    types["points"] = Array(Array(DataType.double))
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType())]),
        outputs=Schema([ColSpec(types[kind], name) for name, kind in OUTPUT_COLUMNS[task].items()]),
        params=ParamSchema(
            [
                ParamSpec(name, types[PARAM_TYPES[name]], value)
                for name, value in _merge_defaults(task, defaults).items()
            ]
        ),
    )


def describe_tiles(defaults: Mapping[str, Any]) -> str:
    """Describe tiles that a model was evaluated on, for one that cannot use them; empty if there were none.

    Args:
        defaults: The settings that its evaluation chose.
    """
    if not (side := defaults.get("tile")):
        return ""
    return (
        f"It was evaluated on tiles of {side} pixels, which `finetrack predict` and `finetrack serve` use. "
        "MLflow's own server predicts on whole images, since this model was logged by an earlier version "
        "without the code of tiles: expect other objects there, and fewer small ones."
    )


def read_defaults(signature: Any) -> dict[str, float]:
    """Return the defaults of a signature's parameters."""
    return {param.name: param.default for param in signature.params.params}


def _merge_defaults(task: Task, defaults: Mapping[str, float]) -> dict[str, float]:
    """Return the defaults of the parameters that models of the task have."""
    own = CLASSIFY_DEFAULTS if task == "classify" else ULTRALYTICS_DEFAULTS
    further = ("imgsz",) if task == "classify" else ("imgsz", *TILE_PARAMS)
    return own | {name: value for name, value in defaults.items() if name in {*own, *further}}
