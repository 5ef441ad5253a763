"""Store the thumbnails of all images in a file: 100,000 thumbnails would take 400 MB of memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import IntArray
from pipeline.prepare.duplicates.perceptual_hash import THUMBNAIL_SIDE
from pipeline.prepare.duplicates.search import NO_THUMBNAILS
from pipeline.prepare.ingest import IngestedImage, IngestResult


class ThumbnailStore:
    """Thumbnails that are written, and then read by row like an array.

    Args:
        file: The file to create.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.uint8]:
        shape = self._count, THUMBNAIL_SIDE, THUMBNAIL_SIDE
        return (
            np.array(np.memmap(self._file, np.uint8, "r", shape=shape)[rows]) if len(rows) else NO_THUMBNAILS
        )

    def store_thumbnails(self, results: Iterable[IngestResult]) -> list[IngestResult]:
        """Add the thumbnails of ingested images to the file; keep only their row numbers in memory."""
        with self._file.open("ab") as file:
            return [
                (self._store_thumbnail(ingested, file) if ingested else None, findings)
                for ingested, findings in results
            ]

    def _store_thumbnail(self, ingested: IngestedImage, file: IO[bytes]) -> IngestedImage:
        thumbnail, row = ingested.appearance.thumbnail, None
        if thumbnail:
            file.write(thumbnail)
            row, self._count = self._count, self._count + 1
        appearance = ingested.appearance._replace(thumbnail=b"")
        return ingested._replace(appearance=appearance, thumbnail_row=row)
