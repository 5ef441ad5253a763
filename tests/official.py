"""Ultralytics' small example datasets and official weights, where they lie beside the project."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.core.paths import PREPARED
from pipeline.core.tasks import Keypoints, Task
from pipeline.dataset import labels, manifest
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.storage import files

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
WEIGHTS = SHARED / "weights"
EXAMPLES = SHARED / "hub-examples"

present = pytest.mark.skipif(not WEIGHTS.exists(), reason="../shared/data has the official weights")


def prepared(example: str, task: Task, names: Any, keypoints: Keypoints | None = None) -> Manifest:
    """Write an example as data/prepared: its train images are the val split, its val images the test."""
    items = []
    for kept, split in (("train", "val"), ("val", "test")):
        for image in sorted((EXAMPLES / example / "images" / kept).glob("*.jpg")):
            label = EXAMPLES / example / "labels" / kept / f"{image.stem}.txt"
            for kind, source in (("images", image), ("labels", label)):
                target = PREPARED / kind / split / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
            classes = tuple(labels.parse(label.read_text(), task).classes.tolist())
            with Image.open(image) as opened:
                size = opened.size
            hashes = files.sha256(image), files.sha256(label)
            items.append(ImageRecord(f"{split}/{image.name}", *hashes, *size, classes, image.name))
    ordered = tuple(sorted(items, key=lambda item: item.file))
    written = Manifest(task, tuple(names), ordered, keypoints)
    (PREPARED / "manifest.json").write_text(manifest.render(written))
    return written
