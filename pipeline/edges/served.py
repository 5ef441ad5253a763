"""The detector as MLflow serves it: this file is copied into the logged model and runs there by itself.

It needs ultralytics, torch and mlflow, nothing of this project; so it may not import any of it.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from mlflow.types.type_hints import TypeFromExample

COLUMNS = ("image", "x1", "y1", "x2", "y2", "score", "class", "name")


class Detector(PythonModel):  # type: ignore[misc, unused-ignore] # MLflow is untyped
    """Find objects in images."""

    def load_context(self, context: Any) -> None:
        """Load the weights, without running code from them."""
        os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "1")
        os.environ.setdefault("YOLO_AUTOINSTALL", "false")
        os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir(), "ultralytics")))
        from ultralytics import YOLO

        self.detector = YOLO(context.artifacts["weights"])

    def predict(self, model_input: TypeFromExample, params: Any = None) -> Any:
        """Return a row per object: image (its place in the input), x1 y1 x2 y2 (pixels), score, class, name.

        Args:
            model_input: A list, or a table with one column, of images: file paths, base64 text, the bytes of
                an image file, or RGB arrays (uint8, height x width x 3); or one of them alone.
                (MLflow warns of any wider type than this one, and refuses arrays under a narrower one.)
            params: conf, iou and max_det, as Ultralytics knows them.
        """
        import pandas as pd

        settings = {"conf": 0.25, "iou": 0.7, "max_det": 300} | (params or {})
        rows: list[tuple[Any, ...]] = []
        for place, item in enumerate(_items(model_input)):
            [result] = self.detector.predict(_pixels(item), verbose=False, **settings)
            rows.extend(_rows(place, result))
        return pd.DataFrame(rows, columns=list(COLUMNS))


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
        raise ValueError("this is no image that can be read: give a file, base64 text, bytes or an RGB array")
    return pixels


def _bytes(item: str | bytes | Path) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, Path) or (len(item) < 4096 and Path(item).is_file()):
        return Path(item).read_bytes()
    try:
        return base64.b64decode(item.split(",", 1)[-1], validate=True)
    except binascii.Error:
        raise ValueError(f"{item[:80]!r} is neither a file that exists nor base64 text") from None


def _rows(place: int, result: Any) -> Iterator[tuple[Any, ...]]:
    boxes = result.boxes
    for box, score, index in zip(boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist(), strict=True):
        yield (place, *box, score, int(index), result.names[int(index)])


set_model(Detector())
