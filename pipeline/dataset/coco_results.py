"""Write and read the predictions of a split as COCO JSON, with the truth: SPLIT.json and SPLIT_truth.json.

The files hold what `evaluate` computes its metrics from, to the last bit. Any tool that reads COCO can use
them; image and category ids start at 1. Of classify there is one file, SPLIT_probabilities.json.

A detection takes about 83 bytes, a mask 50 to 400 more: for 10,000 images with 300 detections each, the most
that evaluate.max_det=300 allows, the files have 260 MB, with masks 400 to 1,000 MB; with 30 detections each a
tenth. Of classify they have up to 2 KB an image: 20 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.dataset.coco_head import PredictionHead, dump_compact, parse_head, render_head
from pipeline.dataset.coco_rows import (
    build_detection_rows,
    build_object_rows,
    parse_object_rows,
)
from pipeline.dataset.stored_detections import PARSE_ERRORS, StoredDetections
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.storage.files import hash_file, name_failed_path, write_file

MAX_CLASSES: Final = 100
"""So many probabilities of an image are kept, the highest ones: there may be thousands of classes."""


class PredictionWriter:
    """Write the predictions of a split image by image: masks need not be held in memory."""

    def __init__(self, results: IO[str], head: PredictionHead) -> None:
        self._results = results
        self._head = head
        self._images: list[PredictedImage] = []
        self._objects: list[str] = []
        self._object_count = 0
        self._is_first = True

    def write_image(self, image: PredictedImage, truth: GroundTruth, found: Detections) -> None:
        """Write the detections in an image, and keep its objects for the end."""
        self._images.append(image)
        lines, size = [], (image.width, image.height)
        for row in build_object_rows(truth, self._head.task, size):
            self._object_count += 1
            lines.append(dump_compact({"id": self._object_count, "image_id": image.id, **row}))
        self._objects += [",".join(lines)] if lines else []
        rows = build_detection_rows(found, self._head.task, size)
        if line := ",".join(dump_compact({"image_id": image.id, **row}) for row in rows):
            self._results.write(("" if self._is_first else ",\n") + line)
            self._is_first = False

    def write_probabilities(self, image: PredictedImage, probabilities: FloatArray) -> None:
        """Write the class probabilities (classes,) of an image."""
        self._images.append(image)
        values = probabilities.astype(np.float32)
        classes = np.sort(np.argsort(-values, kind="stable")[:MAX_CLASSES])
        classes = classes[values[classes] > 0]
        pairs = ",".join(
            f'"{cls + 1}":{value}' for cls, value in zip(classes, values[classes].astype(str), strict=True)
        )
        self._results.write(("" if self._is_first else ",\n") + f"{{{pairs}}}")
        self._is_first = False

    def render_truth(self, results_sha256: str) -> str:
        """Return the text of the ground truth, which names the file of the results by its hash."""
        head = render_head(self._head, self._images, results_sha256=results_sha256)
        objects = ",\n".join(self._objects)
        return f'{{{head},\n"annotations":[\n{objects}\n]}}\n'

    def render_head(self) -> str:
        """Return the keys that follow the probabilities, as JSON without brackets."""
        return render_head(self._head, self._images)


@contextmanager
def open_prediction_writer(folder: Path, split: str, head: PredictionHead) -> Iterator[PredictionWriter]:
    """Yield a writer; the files have their names only after the block, when they are complete.

    Args:
        folder: Where to write; created.
        split: The first part of the names: val or test.
        head: What the predictions are of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (_name_probabilities(split) if head.task == "classify" else f"{split}.json")
    partial = target.with_name(f".{target.name}.partial")
    try:
        with name_failed_path(target), partial.open("w", encoding="utf-8") as file:
            writer = PredictionWriter(file, head)
            file.write('{"probabilities":[\n' if head.task == "classify" else "[\n")
            yield writer
            file.write(f"\n],\n{writer.render_head()}}}\n" if head.task == "classify" else "\n]\n")
        if head.task != "classify":
            write_file(folder / _name_truth(split), writer.render_truth(hash_file(partial)))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_stored_predictions(folder: Path, split: str, predictions: StoredPredictions) -> None:
    """Write the predictions of a split below a folder, and the truth beside them.

    Args:
        folder: Where to write; created.
        split: The first part of the names: val or test.
        predictions: Of segment with masks. Coordinates are rounded to 0.01 pixels, scores to 0.00001.
    """
    head = PredictionHead(
        predictions.task, predictions.names, predictions.data, predictions.weights, predictions.keypoints
    )
    with open_prediction_writer(folder, split, head) as writer:
        if predictions.probabilities is not None:
            for image, row in zip(predictions.images, predictions.probabilities, strict=True):
                writer.write_probabilities(image, row)
            return
        for image, truth, found in zip(
            predictions.images, predictions.truths, predictions.detections, strict=True
        ):
            writer.write_image(image, truth, found)


def read_stored_predictions(folder: Path, split: str) -> StoredPredictions:
    """Read the predictions of a split, with the truth.

    Args:
        folder: As written by `write_stored_predictions`.
        split: val or test.

    Returns:
        Of segment, detections are parsed each time that they are asked for: go through them once.

    Raises:
        UserError: The files are missing, damaged, or of another version.
    """
    probabilities, truth = folder / _name_probabilities(split), folder / _name_truth(split)
    file = probabilities if probabilities.is_file() else truth
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        head, images = parse_head(raw)
        if head.task == "classify":
            return _build(head, images, probabilities=_parse_probabilities(raw, len(head.names)))
        truths = _parse_truths(raw["annotations"], images, head)
        file = folder / f"{split}.json"
        if hash_file(file) != raw["info"]["results_sha256"]:
            raise ValueError(f"it is not the one that {_name_truth(split)} was written with")
        found = StoredDetections(file, images, head)
        return _build(head, images, truths=truths, detections=found if head.task == "segment" else [*found])
    except FileNotFoundError:
        raise UserError(f"{file} is absent: there are no predictions on {split} in {folder}") from None
    except PARSE_ERRORS as error:
        raise UserError(f"{file} cannot be read as predictions ({error}): evaluate the model again") from None


def _build(head: PredictionHead, images: tuple[PredictedImage, ...], **content: Any) -> StoredPredictions:
    return StoredPredictions(
        head.task, head.names, head.data, head.weights, images, keypoints=head.keypoints, **content
    )


def _name_truth(split: str) -> str:
    return f"{split}_truth.json"


def _name_probabilities(split: str) -> str:
    return f"{split}_probabilities.json"


def _parse_truths(
    rows: Sequence[dict[str, Any]], images: Sequence[PredictedImage], head: PredictionHead
) -> list[GroundTruth]:
    points = head.keypoints.count if head.keypoints else None
    grouped = _group_by_image(rows, images)
    truths = [parse_object_rows(each, head.task, points) for each in grouped]
    _require_known_classes([truth.classes for truth in truths], head)
    return truths


def _group_by_image(
    rows: Sequence[dict[str, Any]], images: Sequence[PredictedImage]
) -> list[list[dict[str, Any]]]:
    grouped: list[list[dict[str, Any]]] = [[] for _ in images]
    for row in rows:
        if row["image_id"] < 1:
            raise ValueError(f"there is no image {row['image_id']}")
        grouped[row["image_id"] - 1].append(row)
    return grouped


def _require_known_classes(classes: Sequence[Any], head: PredictionHead) -> None:
    known = np.concatenate([np.zeros(0, np.int64), *classes])
    if len(known) and (known.min() < 0 or known.max() >= len(head.names)):
        raise ValueError("a category is not among the categories")


def _parse_probabilities(raw: Any, classes: int) -> FloatArray:
    found = np.zeros((len(raw["images"]), classes))
    rows = raw["probabilities"]
    if len(rows) != len(found):
        raise ValueError("the probabilities are not those of the images")
    for place, row in enumerate(rows):
        columns = np.array([int(cls) - 1 for cls in row], np.int64)
        if (columns < 0).any():
            raise ValueError("a category is not among the categories")
        found[place, columns] = np.array([*row.values()], np.float32)
    return found
