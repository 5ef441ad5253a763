"""Write folders of pseudo-labels as `finetrack pseudo-label` does, without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.tasks import Task
from pipeline.dataset.pseudo_labels import (
    PseudoLabelledImage,
    PseudoLabelRecord,
    shorten_image_hash,
    write_pseudo_label_record,
)
from tests.sources import write_picture


def write_pseudo_labels(
    folder: Path,
    labels: Mapping[str, str],
    *,
    task: Task = "detect",
    names: Sequence[str] = ("a", "b"),
    trained_on: Sequence[str] = (),
    **changes: Any,
) -> PseudoLabelRecord:
    """Write images/, labels/ and pseudo.json.

    Args:
        folder: Where to.
        labels: The text of the labels by the name of each image, such as `site/01.jpg`. An image that is in
            images/ already, under the name without folders, stays as it is.
        task: Of the labels.
        names: Class names by index.
        trained_on: SHA-256 of the images that the teacher was trained on.
        **changes: Of the record.
    """
    images = []
    for source, text in labels.items():
        file = folder / "images" / source.replace("/", "_")
        if not file.exists():
            write_picture(file)
        label = (folder / "labels" / file.name).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(text)
        hashes = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (file, label))
        images.append(PseudoLabelledImage(file.name, *hashes, source))
    teacher = {"name": "teacher", "run_id": "0123456789abcdef", "weights": "w" * 64, "data": "d" * 64}
    record = PseudoLabelRecord(
        task,
        tuple(names),
        None,
        teacher,
        tuple(sorted(map(shorten_image_hash, trained_on))),
        tuple(images),
        **changes,
    )
    write_pseudo_label_record(folder, record)
    return record
