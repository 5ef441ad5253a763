"""The served model: MLflow copies this file into each logged model and runs it there.

It needs ultralytics, torch and mlflow, and must not import this project, which is not installed there.

File paths work only where a user loads the model in their own process. Behind `mlflow models serve` text is
base64 only: a client must not make the server open files, or find out from its answers which files exist.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from mlflow.types.type_hints import TypeFromExample

CORNER_COLUMNS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
OBJECT_COLUMNS = ("image", *CORNER_COLUMNS[:4], "score", "class", "name")
TASK_COLUMNS = {
    "detect": OBJECT_COLUMNS,
    "segment": (*OBJECT_COLUMNS, "polygon"),
    "pose": (*OBJECT_COLUMNS, "keypoints"),
    "obb": ("image", *CORNER_COLUMNS, "score", "class", "name"),
    "classify": ("image", "score", "class", "name"),
}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
CHANNELS = (1, 3, 4)
"""Channels of an array: grey, RGB, RGBA."""
SERVER_MODULE = "mlflow.pyfunc.scoring_server.app"
"""A module that only the processes of MLflow's server import."""


class ServedModel(PythonModel):  # type: ignore[misc, unused-ignore] # MLflow is untyped
    """Detects objects in images, or classifies images."""

    def load_context(self, context: Any) -> None:
        """Load the weights without running code from the file."""
        os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "1")
        os.environ.setdefault("YOLO_AUTOINSTALL", "false")
        os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir(), "ultralytics")))
        from ultralytics import YOLO

        with tempfile.TemporaryDirectory() as folder:  # Ultralytics removes apostrophes from paths
            copy = shutil.copy(context.artifacts["weights"], Path(folder, "weights.pt"))
            self.detector = YOLO(copy)

    def predict(self, model_input: TypeFromExample, params: Any = None) -> Any:
        """Return a row per object: image (its place in the input), x1 y1 x2 y2 (pixels), score, class, name.

        Further columns: polygon (segment) or keypoints (pose), a list of points in pixels; obb has four
        corners up to x4 y4. classify has a row per class, the most probable first: image, score, class, name.

        Args:
            model_input: A list of images, a table with one column of images, or one image: base64 text, a
                file path (not behind a server), the bytes of an image file, or an array of uint8: height x
                width or height x width x 1 (grey), x 3 (RGB), x 4 (RGBA, whose alpha is ignored). (MLflow
                warns about any wider type hint, and refuses arrays with a narrower one.)
            params: conf, iou, max_det and imgsz of Ultralytics, by default those with which the model was
                evaluated on val; for classify imgsz, and top: rows per image.

        Raises:
            ValueError: An image has another form or cannot be read.
        """
        import pandas as pd

        settings = dict(params or {})
        top = int(settings.pop("top", 5))
        task = self.detector.task
        rows: list[tuple[Any, ...]] = []
        for place, item in enumerate(_list_images(model_input)):
            [result] = self.detector.predict(_decode_image(item), verbose=False, **settings)
            found = _iterate_classes(result, top) if task == "classify" else _iterate_objects(result, task)
            rows.extend((place, *row) for row in found)
        return pd.DataFrame(rows, columns=list(TASK_COLUMNS[task]))


def _list_images(model_input: Any) -> Any:
    if hasattr(model_input, "columns"):
        if len(model_input.columns) != 1:
            _refuse(f"a table of {len(model_input.columns)} columns is no list of images: it must have one")
        return model_input.iloc[:, 0]
    if isinstance(model_input, str | bytes | Path):
        return [model_input]
    if isinstance(model_input, np.ndarray):
        return [model_input] if model_input.ndim in {2, 3} else [*np.atleast_1d(model_input)]
    if not isinstance(model_input, list | tuple):
        _refuse(f"{type(model_input).__name__} is no image and no list of images")
    return model_input


def _decode_image(item: Any) -> Any:
    """Decode one image to BGR, the order that Ultralytics expects."""
    import cv2

    if isinstance(item, np.ndarray | list):
        return _convert_array(item)
    if not isinstance(item, str | bytes | Path):
        _refuse(f"{type(item).__name__} is no image")
    data = np.frombuffer(_read_bytes(item), dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if pixels is None:
        shown = repr(item[:60] if isinstance(item, str | bytes) else item)
        _refuse(f"{shown} is not an image that can be read")
    return pixels


def _convert_array(item: Any) -> Any:
    """Convert an array, or nested lists as a server gets them, to BGR: height x width x 3.

    Rows of one image, as an array or nested lists, must not be taken for grey images.
    """
    pixels = _build_array(item)
    shape = " x ".join(map(str, np.shape(item))) or "nothing"
    if pixels.ndim == 2 and (isinstance(item, list) or pixels.shape[1] in CHANNELS):
        _refuse(f"{shape} may be a row of an image, not an image")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in CHANNELS or 0 in pixels.shape:
        _refuse(f"an array of {shape} is no image with the channels last")
    colours = np.repeat(pixels, 3, axis=2) if pixels.shape[-1] == 1 else pixels[..., :3]
    return np.ascontiguousarray(colours[..., ::-1])


def _build_array(item: Any) -> Any:
    """Return an array of uint8; lists of whole numbers from 0 to 255 become one."""
    try:
        pixels = np.asarray(item)
    except ValueError:
        _refuse("lists of different lengths are no image")
    if isinstance(item, list) and pixels.dtype.kind in "iu" and pixels.size:
        if pixels.min() < 0 or pixels.max() > 255:
            _refuse(f"values from {pixels.min()} to {pixels.max()} are no image")
        return pixels.astype(np.uint8)
    if pixels.dtype != np.uint8:
        hint = ": multiply values from 0 to 1 by 255" if pixels.dtype.kind == "f" else ""
        _refuse(f"an array of {pixels.dtype} is no image{hint}")
    return pixels


def _refuse(reason: str) -> NoReturn:
    raise ValueError(
        f"{reason}; give base64 text, a path with the suffix of an image (not to a server), the bytes of an "
        "image file, or an array of uint8: height x width (grey), x 1 (grey), x 3 (RGB) or x 4 (RGBA)"
    )


def _read_bytes(item: str | bytes | Path) -> bytes:
    """Return the bytes of an image file; empty for text that is not an image, whatever the reason."""
    if isinstance(item, bytes):
        return item
    try:
        if isinstance(item, str) and not item.lower().endswith(IMAGE_SUFFIXES):  # base64 text has no dot
            return base64.b64decode("".join(item.split(",", 1)[-1].split()), validate=True)
        return b"" if SERVER_MODULE in sys.modules else Path(item).read_bytes()
    except (OSError, ValueError):
        return b""


def _iterate_objects(result: Any, task: str) -> Iterator[tuple[Any, ...]]:
    found = result.obb if task == "obb" else result.boxes
    places = found.xyxyxyxy.reshape(-1, 8) if task == "obb" else found.xyxy
    columns = places.tolist(), found.conf.tolist(), found.cls.tolist(), _list_shapes(result, task, len(found))
    for place, score, index, shape in zip(*columns, strict=True):
        yield (*place, score, int(index), result.names[int(index)], *shape)


def _list_shapes(result: Any, task: str, count: int) -> list[tuple[Any, ...]]:
    """Return the columns that the task adds to the row of each object: polygon or keypoints."""
    if task == "segment" and count:
        return [(outline.tolist(),) for outline in result.masks.xy]
    if task == "pose" and count:
        return [(points.tolist(),) for points in result.keypoints.data]
    return [()] * count


def _iterate_classes(result: Any, top: int) -> Iterator[tuple[Any, ...]]:
    for index in result.probs.data.argsort(descending=True)[:top].tolist():
        yield float(result.probs.data[index]), index, result.names[index]


set_model(ServedModel())
