"""Store the decoded images of `cache: disk` for classify; a kill or a full disk leaves no half file.

Ultralytics' dataset of this task writes them under their final names, and fails for good at a half file. Its
dataset of the other tasks decodes such an image again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


class DecodedImagesMixin:
    """A mixin before Ultralytics' `ClassificationDataset`."""

    cache_disk: bool
    samples: list[tuple[str, int, Path, None]]
    imread: Any

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a sample, after its decoded image was stored."""
        image, _, file, _ = self.samples[index]
        if self.cache_disk and not is_current(file, Path(image)):
            self._store(image, file)
        sample: dict[str, Any] = super().__getitem__(index)  # type: ignore[misc]
        return sample

    def _store(self, image: str, file: Path) -> None:
        part = file.with_name(f".{file.name}.{os.getpid()}")  # another worker may store the same image
        try:
            with part.open("wb") as target:
                np.save(target, self.imread(image), allow_pickle=False)
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def is_current(file: Path, image: Path) -> bool:
    """Tell whether a file holds the decoded image as it is now."""
    return file.exists() and file.stat().st_mtime >= image.stat().st_mtime
