"""The images that a model wins or loses, as rows of the page: truth, first model, second model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.comparison.compare_models import ComparedModel
from pipeline.comparison.page.choose_images import (
    DEFAULT_THRESHOLD,
    balance_images,
    list_errors,
    measure_class_errors,
    measure_errors,
)
from pipeline.comparison.page.image_panels import (
    describe_errors,
    draw_panels,
    encode_plain,
    read_test_image,
)
from pipeline.core.arrays import FloatArray, ImageArray
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.error_types import ImageErrors, assign_error_types

MAX_IMAGES: Final = 6
"""Images of each kind on the page."""
_Originals = tuple[StoredPredictions, StoredPredictions]


def build_image_rows(
    pair: tuple[ComparedModel, ComparedModel], originals: _Originals, root: Path
) -> dict[str, Any]:
    """Return the images won and lost, with counts; without pictures where the files are absent.

    Of several trainings of one model, the first one is shown.

    Args:
        pair: The models, aligned.
        originals: The predictions of each model's first training as they were stored: with masks.
        root: The folder with data/prepared.
    """
    if pair[0].trainings[0].task == "classify":
        tables = [measure_class_errors(model.trainings[0]) for model in pair]
        balance = balance_images(tables[0], tables[1])
        describe = _GuessPictures(pair, root).build
    else:
        errors = [list_errors(model.trainings[0], _get_threshold(model)) for model in pair]
        balance = balance_images(measure_errors(errors[0]), measure_errors(errors[1]))
        describe = _ErrorPictures(pair, originals, errors, root).build
    return {
        "won": [row for place in balance.won[:MAX_IMAGES] if (row := describe(place))],
        "lost": [row for place in balance.lost[:MAX_IMAGES] if (row := describe(place))],
        "counts": {"won": len(balance.won), "lost": len(balance.lost), "equal": balance.equal},
    }


class _GuessPictures:
    """Rows of classify: the image, and the first guess of each model."""

    def __init__(self, pair: tuple[ComparedModel, ComparedModel], root: Path) -> None:
        self._pair, self._root = pair, root

    def build(self, place: int) -> dict[str, Any] | None:
        """Return the row of an image; None if its file is absent."""
        test = self._pair[0].trainings[0]
        image = test.images[place]
        if (picture := read_test_image(image, self._root)) is None:
            return None
        notes = [str(test.names[image.cls or 0])]
        notes += [self._describe(model.trainings[0], place) for model in self._pair]
        return {"name": image.file, "uri": encode_plain(picture), "notes": notes}

    def _describe(self, predictions: StoredPredictions, place: int) -> str:
        assert predictions.probabilities is not None
        row: FloatArray = predictions.probabilities[place]
        guess = int(np.argmax(row))
        return f"{predictions.names[guess]} {row[guess]:.2f}"


class _ErrorPictures:
    """Rows of all other tasks: a picture of the truth, and of each model's predictions."""

    def __init__(
        self,
        pair: tuple[ComparedModel, ComparedModel],
        originals: _Originals,
        errors: Sequence[Sequence[ImageErrors]],
        root: Path,
    ) -> None:
        self._pair, self._originals, self._errors, self._root = pair, originals, errors, root

    def build(self, place: int) -> dict[str, Any] | None:
        """Return the row of an image; None if its file is absent."""
        test = self._pair[0].trainings[0]
        image = test.images[place]
        picture = read_test_image(image, self._root)
        if picture is None:
            return None
        return {
            "name": image.file,
            "panels": self._draw(picture, place),
            "notes": [describe_errors(errors[place]) for errors in self._errors],
        }

    def _draw(self, picture: ImageArray, place: int) -> Any:
        test = self._pair[0].trainings[0]
        errors = [each[place] for each in self._errors]
        if test.task == "segment":
            errors = [self._trace(side, place) for side in (0, 1)]
        return draw_panels(picture, test.truths[place], errors, test.names)

    def _trace(self, side: int, place: int) -> ImageErrors:
        """Return the errors with the outlines of masks, which stored predictions do not have."""
        from pipeline.yolo.inference.masks import trace_outlines

        model = self._pair[side]
        aligned = model.trainings[0]
        original = self._originals[side].detections[aligned.images[place].id - 1]
        found = aligned.detections[place]._replace(outlines=trace_outlines(original.masks))
        threshold = _get_threshold(model)
        return assign_error_types(
            aligned.truths[place], found, DEFAULT_THRESHOLD if threshold is None else threshold
        )


def _get_threshold(model: ComparedModel) -> float | None:
    return model.thresholds[0] if model.thresholds else None
