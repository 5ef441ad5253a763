"""The served model: MLflow copies this file into each logged model and runs it there.

It needs ultralytics, torch and mlflow, and must not import this project, which is not installed there. The
code that merges tiles comes as a package beside it, whose name the model's configuration says.

File paths work only where a user loads the model in their own process. Behind `mlflow models serve` text is
base64 only: a client must not make the server open files, or find out from its answers which files exist.
"""

from __future__ import annotations

import base64
import importlib
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
MIN_LEVELS = 16
TIFF_MARKS = (b"II", b"MM")
"""Of eight bits, that an image of 16 bits has to reach: else its values have 12 bits or fewer."""
OWN_PARAMS = ("top", "tile", "overlap")
"""Parameters that are no arguments of Ultralytics."""
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
        self.tile_package = str((context.model_config or {}).get("tiles", ""))

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
                evaluated on val; tile and overlap if it was evaluated on tiles of larger images (a tile of 0:
                whole images); for classify imgsz, and top: rows per image.

        Raises:
            ValueError: An image has another form or cannot be read.
        """
        import pandas as pd

        rows: list[tuple[Any, ...]] = []
        for place, item in enumerate(_list_images(model_input)):
            found = self._iterate_rows(_decode_image(item), dict(params or {}))
            rows.extend((place, *row) for row in found)
        return pd.DataFrame(rows, columns=list(TASK_COLUMNS[self.detector.task]))

    @property
    def _names(self) -> dict[int, str]:
        """The class names of the training: Ultralytics' own `names` replace codes of ImageNet by words."""
        names = self.detector.model.names
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(index): str(name) for index, name in pairs}

    def _iterate_rows(self, image: Any, params: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of one image without its place."""
        task, side = self.detector.task, int(params.get("tile", 0))
        if side and task != "classify" and max(image.shape[:2]) > side:
            return self._iterate_tiled_rows(image, params)
        settings = {name: value for name, value in params.items() if name not in OWN_PARAMS}
        [result] = self.detector.predict(image, verbose=False, **settings)
        if task == "classify":
            return _iterate_classes(result, self._names, int(params.get("top", 5)))
        return _iterate_objects(result, self._names, task)

    def _iterate_tiled_rows(self, image: Any, params: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Predict on overlapping tiles; an object that several of them show is found once."""
        plan, merge = (self._import(f"tiles.{name}") for name in ("plan_tiles", "merge_tiles"))
        settings = {name: value for name, value in params.items() if name not in OWN_PARAMS}
        size, task = (image.shape[1], image.shape[0]), self.detector.task
        tiles, found = plan.plan_tiles(size, int(params["tile"]), float(params.get("overlap", 0.2))), []
        for tile in tiles:
            part = np.ascontiguousarray(image[tile.top : tile.bottom, tile.left : tile.right])
            masks = {"retina_masks": True} if task == "segment" else {}
            [result] = self.detector.predict(part, verbose=False, **settings, **masks)
            found.append(self._convert_result(result))
        limits = {"iou": settings.get("iou", 0.7), "max_det": settings.get("max_det", 300)}
        merged = merge.merge_tile_detections(tiles, found, size, **limits)
        return _iterate_detections(merged, self._names, task)

    def _convert_result(self, result: Any) -> Any:
        """Convert Ultralytics' result of a tile to what `merge_tiles` takes."""
        task = self.detector.task
        found = result.obb if task == "obb" else result.boxes
        arrays = [np.asarray(values.cpu(), np.float64) for values in (found.xyxy, found.conf, found.cls)]
        detections = self._import("detections").Detections(*arrays[:2], arrays[2].astype(np.int64))
        if task == "obb":
            return detections._replace(outlines=tuple(np.asarray(found.xyxyxyxy.cpu(), np.float64)))
        if task == "pose":
            return detections._replace(keypoints=np.asarray(result.keypoints.data.cpu(), np.float64))
        if task == "segment" and len(found):
            crop = self._import("geometry.masks").ObjectMask
            masks = np.asarray(result.masks.data.cpu()) > 0
            return detections._replace(masks=tuple(crop(*_crop_mask(mask)) for mask in masks))
        return detections

    def _import(self, name: str) -> Any:
        return importlib.import_module(f"{self.tile_package}.{name}")


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
    is_dark = pixels.max(initial=0) <= MIN_LEVELS
    if is_dark or data[:2].tobytes() in TIFF_MARKS:
        values = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
        if np.issubdtype(values.dtype, np.signedinteger):
            _refuse("values with a sign, such as Hounsfield units: convert them to eight bits")
        if is_dark and values.dtype == np.uint16 and 0 < values.max() < MIN_LEVELS << 8:
            _refuse("16 bits per value with nothing in the upper ones: scale its values to eight bits")
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


def _iterate_objects(result: Any, names: dict[int, str], task: str) -> Iterator[tuple[Any, ...]]:
    found = result.obb if task == "obb" else result.boxes
    places = found.xyxyxyxy.reshape(-1, 8) if task == "obb" else found.xyxy
    columns = places.tolist(), found.conf.tolist(), found.cls.tolist(), _list_shapes(result, task, len(found))
    for place, score, index, shape in zip(*columns, strict=True):
        yield (*place, score, int(index), names[int(index)], *shape)


def _list_shapes(result: Any, task: str, count: int) -> list[tuple[Any, ...]]:
    """Return the columns that the task adds to the row of each object: polygon or keypoints."""
    if task == "segment" and count:
        return [(outline.tolist(),) for outline in result.masks.xy]
    if task == "pose" and count:
        return [(points.tolist(),) for points in result.keypoints.data]
    return [()] * count


def _iterate_detections(found: Any, names: dict[int, str], task: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of merged detections."""
    for place, index in enumerate(found.classes.tolist()):
        corners = found.outlines[place].ravel() if task == "obb" else found.boxes[place]
        shape: tuple[Any, ...] = ()
        if task == "segment":
            shape = (_trace_mask(found.masks[place]).tolist(),)
        if task == "pose":
            shape = (found.keypoints[place].tolist(),)
        yield (*corners.tolist(), float(found.scores[place]), index, names[index], *shape)


def _crop_mask(mask: Any) -> tuple[int, int, Any]:
    """Return where the pixels of a mask begin, left and top, and the part that has them."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, mask[top : rows[-1] + 1, left : columns[-1] + 1]


def _trace_mask(mask: Any) -> Any:
    """Trace the outline (k, 2) of the largest piece of a mask, in pixels of the image."""
    import cv2

    rings, _ = cv2.findContours(mask.pixels.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return max(rings, key=cv2.contourArea).reshape(-1, 2) + np.array([mask.left, mask.top], np.float64)


def _iterate_classes(result: Any, names: dict[int, str], top: int) -> Iterator[tuple[Any, ...]]:
    for index in result.probs.data.argsort(descending=True)[:top].tolist():
        yield float(result.probs.data[index]), index, names[index]


set_model(ServedModel())
