"""Images that calibrate an int8 export, shaped as a prediction feeds them to the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from ultralytics.data.augment import LetterBox, classify_transforms

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.yolo.inference.predict import read_prepared_image


class CalibrationBatches:
    """Batches as Ultralytics' exporters take them: `img` of each is (n, 3, height, width), uint8, RGB.

    The last images that do not fill a batch are left out, as Ultralytics leaves them out.
    """

    def __init__(
        self, images: Sequence[Path], size: tuple[int, int], *, batch: int = 1, task: Task = "detect"
    ) -> None:
        """Plan the batches.

        Args:
            images: Image files.
            size: Height and width in pixels.
            batch: Images in a batch.
            task: Images of classify are cropped, others padded.

        Raises:
            UserError: There are no images.
        """
        if not images:
            raise UserError("int8 needs val images to calibrate on, and there are none")
        self.batch_size = min(batch, len(images))
        self._images, self._size, self._task = images, size, task

    def __len__(self) -> int:
        return len(self._images) // self.batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            files = self._images[start : start + self.batch_size]
            yield {"img": torch.from_numpy(np.stack([self._read(file) for file in files]))}

    def _read(self, file: Path) -> NDArray[np.uint8]:
        image = cv2.cvtColor(read_prepared_image(file), cv2.COLOR_BGR2RGB)
        fitted = self._fit(image.astype(np.uint8, copy=False))
        return np.ascontiguousarray(fitted.transpose(2, 0, 1))

    def _fit(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale an RGB image to the network's size."""
        if self._task == "classify":
            scaled = classify_transforms(self._size).transforms[:2]
            fitted: Any = Image.fromarray(image)
            for transform in scaled:
                fitted = transform(fitted)
            return np.asarray(fitted, np.uint8)
        return np.asarray(LetterBox(self._size, auto=False)(image=image), np.uint8)
