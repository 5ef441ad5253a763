"""What the logged model takes and answers for each task; served.py, which stands alone, has these columns."""

from __future__ import annotations

from typing import Any, Final

from pipeline.core.tasks import Task

_BOX: Final = dict.fromkeys(("x1", "y1", "x2", "y2", "score"), "double")
_CLASS: Final = {"class": "long", "name": "string"}
COLUMNS: Final[dict[Task, dict[str, str]]] = {
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
"""Columns and their types; points are lists of lists of numbers."""

INPUT: Final = (
    "a list of images: base64 text, bytes of an image file, RGB arrays (uint8, HxWx3) or local paths"
)
OUTPUT: Final[dict[Task, str]] = {
    "detect": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image",
    "segment": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "polygon: the outline as a list of [x, y], pixels",
    "pose": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "keypoints: a list of [x, y], pixels, or [x, y, confidence]",
    "obb": "a row per object; image: its place in the input; x1 y1 to x4 y4: its corners in pixels",
    "classify": "a row per image and class, the most probable first; image: its place in the input; "
    "score: the probability",
}
PARAMS: Final[dict[str, tuple[str, float]]] = {
    "conf": ("double", 0.25),
    "iou": ("double", 0.7),
    "max_det": ("long", 300),
}
PARAMS_OF_CLASSES: Final[dict[str, tuple[str, float]]] = {"top": ("long", 5)}


def of(task: Task) -> Any:
    """Write MLflow's signature of the model."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array

    types = {name: DataType[name] for name in ("long", "double", "string")}
    types["points"] = Array(Array(DataType.double))
    params = PARAMS_OF_CLASSES if task == "classify" else PARAMS
    signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType())]),
        outputs=Schema([ColSpec(types[kind], name) for name, kind in COLUMNS[task].items()]),
        params=ParamSchema(
            [ParamSpec(name, types[kind], default) for name, (kind, default) in params.items()]
        ),
    )
    signature._is_signature_from_type_hint = True  # so a list reaches `predict` as it is, arrays too
    return signature
