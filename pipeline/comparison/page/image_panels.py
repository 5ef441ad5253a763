"""Pictures of one image side by side: the truth, and the predictions of two models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from PIL import Image

from pipeline.core.arrays import ImageArray
from pipeline.core.detections import GroundTruth
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.text import format_count
from pipeline.dataset.stored_predictions import PredictedImage
from pipeline.evaluate.error_pictures import (
    ErrorMark,
    draw_marks,
    mark_detections,
    mark_missed_objects,
    mark_true_objects,
    resize_image,
)
from pipeline.evaluate.metrics.error_types import CORRECT, FALSE_POSITIVE, ImageErrors
from pipeline.storage.files import hash_file
from pipeline.visualize.fonts import replace_missing_letters, shorten_names
from pipeline.visualize.pages.render import encode_data_uri

PANEL_SIDE: Final = 400
"""The longer side of a picture on the page, in pixels."""


class ImagePanel(NamedTuple):
    """One picture of an image.

    Attributes:
        uri: The picture as a data URI.
        note: What it shows, in a few words.
    """

    uri: str
    note: str


def read_test_image(image: PredictedImage, root: Path) -> ImageArray | None:
    """Read a test image as BGR; None if the file is absent, or another one by now.

    Args:
        image: The image.
        root: The folder with data/prepared.
    """
    file = root / PREPARED_FOLDER / "images" / image.file
    if not file.is_file() or hash_file(file) != image.sha256:
        return None
    found = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
    return None if found is None else np.asarray(found, np.uint8)


def draw_panels(
    picture: ImageArray, truth: GroundTruth, errors: Sequence[ImageErrors], names: Sequence[str]
) -> list[ImagePanel]:
    """Draw the truth, then the predictions of each model with their errors.

    Args:
        picture: The image, BGR.
        truth: Its true objects.
        errors: Of each model.
        names: Class names by index.
    """
    names = shorten_names(replace_missing_letters(names))
    note = format_count(int(truth.counted.sum()), "object")
    panels = [ImagePanel(_draw(picture, mark_true_objects(truth, names)), note)]
    for each in errors:
        marks = [*mark_detections(each, names), *mark_missed_objects(each, names)]
        panels.append(ImagePanel(_draw(picture, marks), describe_errors(each)))
    return panels


def encode_plain(picture: ImageArray) -> str:
    """Encode an image in the size of a panel, without marks."""
    return _encode(resize_image(picture, PANEL_SIDE)[0])


def describe_errors(errors: ImageErrors) -> str:
    """Count what is right and what is wrong: `3 right, 1 missed`."""
    counts = {CORRECT: errors.verdicts.count(CORRECT), **errors.count_errors()}
    named = (_name(count, verdict) for verdict, count in counts.items() if count)
    return ", ".join(named) or "nothing found"


def _name(count: int, verdict: str) -> str:
    return format_count(count, verdict) if verdict == FALSE_POSITIVE else f"{count} {verdict}"


def _draw(picture: ImageArray, marks: Sequence[ErrorMark]) -> str:
    resized, scale = resize_image(picture, PANEL_SIDE)
    return _encode(draw_marks(resized, marks, scale))


def _encode(drawn: Image.Image) -> str:
    return encode_data_uri(np.ascontiguousarray(np.asarray(drawn)[..., ::-1]))
