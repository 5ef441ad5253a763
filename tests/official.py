"""Ultralytics' small example datasets and official weights, if they are beside the project."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.tasks import Keypoints, Task
from pipeline.dataset.labels import parse_labels
from pipeline.dataset.manifest import ImageRecord, Manifest, serialize_manifest
from pipeline.storage.files import hash_file

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
WEIGHTS = SHARED / "weights"
EXAMPLES = SHARED / "hub-examples"

needs_official_weights = pytest.mark.skipif(
    not WEIGHTS.exists(), reason="../shared/data has the official weights"
)


def prepare_example(example: str, task: Task, names: Any, keypoints: Keypoints | None = None) -> Manifest:
    """Write an example dataset as data/prepared: its train images become val, its val images become test."""
    items = []
    for kept, split in (("train", "val"), ("val", "test")):
        for image in sorted((EXAMPLES / example / "images" / kept).glob("*.jpg")):
            label = EXAMPLES / example / "labels" / kept / f"{image.stem}.txt"
            for kind, source in (("images", image), ("labels", label)):
                target = PREPARED_FOLDER / kind / split / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
            classes = tuple(parse_labels(label.read_text(), task).classes.tolist())
            with Image.open(image) as opened:
                size = opened.size
            hashes = hash_file(image), hash_file(label)
            items.append(ImageRecord(f"{split}/{image.name}", *hashes, *size, classes, image.name))
    ordered = tuple(sorted(items, key=lambda item: item.file))
    written = Manifest(task, tuple(names), ordered, keypoints)
    (PREPARED_FOLDER / "manifest.json").write_text(serialize_manifest(written))
    return written
