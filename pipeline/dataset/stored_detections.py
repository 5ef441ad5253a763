"""The detections of stored predictions, parsed image by image when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.coco_rows import parse_detection_rows
from pipeline.dataset.stored_predictions import PredictedImage

PARSE_ERRORS = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
"""What the parser of a file raises that was not written by `evaluate`."""


class StoredDetections(Sequence[Detections]):
    """The detections of each image; the masks of all images would not fit into memory."""

    def __init__(self, file: Path, images: Sequence[PredictedImage], head: PredictionHead) -> None:
        """Read the lines of a file with results.

        Args:
            file: Each image with detections has one line.
            images: In the order of their ids.
            head: What the predictions are of.

        Raises:
            ValueError, KeyError, IndexError: The file has other lines.
        """
        self._file = file
        self._images = images
        self._head = head
        self._lines = [""] * len(images)
        for line in _iterate_lines(file):
            start = line[: line.index(",")]  # {"image_id":12
            self._lines[_find_place(json.loads(f"{start}}}")["image_id"], images)] = line

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> Detections: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Detections]: ...
    def __getitem__(self, index: int | slice) -> Detections | Sequence[Detections]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        image, line = self._images[index], self._lines[index]
        try:
            return self._parse_line(image, line)
        except PARSE_ERRORS as error:
            raise UserError(f"{self._file} cannot be read as predictions ({error})") from None

    def _parse_line(self, image: PredictedImage, line: str) -> Detections:
        rows = json.loads(f"[{line}]")
        points = self._head.keypoints.count if self._head.keypoints else None
        if any(row["image_id"] != image.id for row in rows):
            raise ValueError(f"a line has results of other images than {image.id}")
        found = parse_detection_rows(rows, self._head.task, points, (image.width, image.height))
        if len(found.classes) and not 0 <= found.classes.min() <= found.classes.max() < len(self._head.names):
            raise ValueError("a category is not among the categories")
        return found


def _find_place(number: int, images: Sequence[PredictedImage]) -> int:
    if not 1 <= number <= len(images):
        raise ValueError(f"there is no image {number}")
    return number - 1


def _iterate_lines(file: Path) -> Iterator[str]:
    """Yield the results of each image, which have a line of their own between those of the brackets."""
    with file.open(encoding="utf-8") as lines:
        if next(lines, "").strip() != "[":
            raise ValueError("it does not start as evaluate writes it")
        closed = False
        for line in lines:
            if line.strip() == "]":
                closed = not any(islice(lines, 1))
            elif line.strip():
                yield line.strip().removesuffix(",")
        if not closed:
            raise ValueError("its end is missing")
