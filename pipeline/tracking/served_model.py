"""The model as MLflow serves it: this file is copied into the logged model and runs there by itself.

It needs ultralytics, torch and mlflow, nothing of this project; so it may not import any of it.

Paths are for who loads the model in a process of their own. Behind `mlflow models serve` text is base64 and
nothing else: a client may not make the server open its files, nor learn from its answers which there are.
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from mlflow.types.type_hints import TypeFromExample

CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
OBJECT = ("image", *CORNERS[:4], "score", "class", "name")
COLUMNS = {
    "detect": OBJECT,
    "segment": (*OBJECT, "polygon"),
    "pose": (*OBJECT, "keypoints"),
    "obb": ("image", *CORNERS, "score", "class", "name"),
    "classify": ("image", "score", "class", "name"),
}
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
SERVER = "mlflow.pyfunc.scoring_server.app"
"""Imported in the processes of MLflow's server, and nowhere else."""


class ServedModel(PythonModel):  # type: ignore[misc, unused-ignore] # MLflow is untyped
    """Find objects in images, or say which class an image has."""

    def load_context(self, context: Any) -> None:
        """Load the weights, without running code from them."""
        os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "1")
        os.environ.setdefault("YOLO_AUTOINSTALL", "false")
        os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir(), "ultralytics")))
        from ultralytics import YOLO

        self.detector = YOLO(context.artifacts["weights"])

    def predict(self, model_input: TypeFromExample, params: Any = None) -> Any:
        """Return a row per object: image (its place in the input), x1 y1 x2 y2 (pixels), score, class, name.

        Beside them polygon (segment) or keypoints (pose), a list of points in pixels; obb has four corners up
        to x4 y4; classify has a row per class, the most probable first, with image, score, class and name.

        Args:
            model_input: A list, or a table with one column, of images: base64 text, file paths (not behind a
                server), the bytes of an image file, or RGB arrays (uint8, height x width x 3); or one alone.
                (MLflow warns of any wider type than this one, and refuses arrays under a narrower one.)
            params: conf, iou and max_det, as Ultralytics knows them; for classify top: rows per image.
        """
        import pandas as pd

        settings = {"conf": 0.25, "iou": 0.7, "max_det": 300} | (params or {})
        top = int(settings.pop("top", 5))
        task = self.detector.task
        rows: list[tuple[Any, ...]] = []
        for place, item in enumerate(_items(model_input)):
            [result] = self.detector.predict(_pixels(item), verbose=False, **settings)
            found = _classes(result, top) if task == "classify" else _objects(result, task)
            rows.extend((place, *row) for row in found)
        return pd.DataFrame(rows, columns=list(COLUMNS[task]))


def _items(model_input: Any) -> Any:
    if hasattr(model_input, "columns"):
        return model_input.iloc[:, 0]
    alone = isinstance(model_input, str | bytes | Path) or getattr(model_input, "ndim", 0) == 3
    return [model_input] if alone else model_input


def _pixels(item: Any) -> Any:
    """Decode one image to BGR, as Ultralytics takes arrays."""
    import cv2

    if not isinstance(item, str | bytes | Path):
        return np.ascontiguousarray(np.asarray(item, dtype=np.uint8)[..., ::-1])
    data = np.frombuffer(_bytes(item), dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if pixels is None:
        shown = repr(item[:60] if isinstance(item, str | bytes) else item)
        raise ValueError(
            f"{shown} is no image that can be read: give base64 text, a path that ends like an image's "
            "(not to a server), the bytes of an image file or an RGB array"
        )
    return pixels


def _bytes(item: str | bytes | Path) -> bytes:
    """Return the bytes of an image file; none for text that stands for no image, whatever the reason."""
    if isinstance(item, bytes):
        return item
    try:
        if isinstance(item, str) and not item.lower().endswith(SUFFIXES):  # no base64 text holds a dot
            return base64.b64decode("".join(item.split(",", 1)[-1].split()), validate=True)
        return b"" if SERVER in sys.modules else Path(item).read_bytes()
    except (OSError, ValueError):
        return b""


def _objects(result: Any, task: str) -> Iterator[tuple[Any, ...]]:
    found = result.obb if task == "obb" else result.boxes
    places = found.xyxyxyxy.reshape(-1, 8) if task == "obb" else found.xyxy
    columns = places.tolist(), found.conf.tolist(), found.cls.tolist(), _shapes(result, task, len(found))
    for place, score, index, shape in zip(*columns, strict=True):
        yield (*place, score, int(index), result.names[int(index)], *shape)


def _shapes(result: Any, task: str, count: int) -> list[tuple[Any, ...]]:
    """Return what the task adds to the row of each object."""
    if task == "segment" and count:
        return [(outline.tolist(),) for outline in result.masks.xy]
    if task == "pose" and count:
        return [(points.tolist(),) for points in result.keypoints.data]
    return [()] * count


def _classes(result: Any, top: int) -> Iterator[tuple[Any, ...]]:
    for index in result.probs.data.argsort(descending=True)[:top].tolist():
        yield float(result.probs.data[index]), index, result.names[index]


set_model(ServedModel())
