"""The thumbnails of all images, in a file: 100,000 of them would take 400 MB of memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import IntArray
from pipeline.prepare.duplicates.search import NONE, SIDE
from pipeline.prepare.ingest import IngestedImage, IngestResult


class ThumbnailStore:
    """Thumbnails that are written once, and then read by row as an array is.

    Args:
        file: To write to; there is none yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.uint8]:
        shape = self._count, SIDE, SIDE
        return np.array(np.memmap(self._file, np.uint8, "r", shape=shape)[rows]) if len(rows) else NONE

    def take_from(self, outcomes: Iterable[IngestResult]) -> list[IngestResult]:
        """Write the thumbnails of images, in whose place a row remains."""
        with self._file.open("xb") as file:
            return [(self._slimmed(image, file) if image else None, found) for image, found in outcomes]

    def _slimmed(self, image: IngestedImage, file: IO[bytes]) -> IngestedImage:
        thumbnail, row = image.look.signature, None
        if thumbnail:
            file.write(thumbnail)
            row, self._count = self._count, self._count + 1
        return image._replace(look=image.look._replace(signature=b""), thumbnail=row)
