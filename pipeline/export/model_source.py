"""The checkpoint that is exported: its file, and what its run says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.manifest import Manifest
from pipeline.iterations.iteration import Iteration
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.model_file import is_checkpoint, load_checkpoint_model

DEFAULT_THRESHOLD: Final = 0.25
"""Ultralytics' own; of a model whose threshold was not chosen on val."""
DEFAULT_IMGSZ: Final = 640


class ExportSource(NamedTuple):
    """A checkpoint to export.

    Attributes:
        weights: The file.
        sha256: Of it.
        stem: The beginning of the names of exported files.
        label: For people.
        names: Its class names by index.
        imgsz: The image size that it predicts with, in pixels.
        threshold: The score from which a box counts, as chosen on val.
        run_id: Its MLflow run; None if it has none.
        data: Digest of the data that it was trained on; None if unknown.
    """

    weights: Path
    sha256: str
    stem: str
    label: str
    names: tuple[str, ...]
    imgsz: int
    threshold: float = DEFAULT_THRESHOLD
    run_id: str | None = None
    data: str | None = None


def open_source(iteration: Iteration, weights: Path, manifest: Manifest) -> ExportSource:
    """Check that a checkpoint can be exported and fits the prepared data, on which it will be measured.

    Args:
        iteration: See `Iteration`.
        weights: The file of its weights.
        manifest: Of data/prepared.

    Raises:
        UserError: It was exported already, is no checkpoint, or is for another task or other classes.
    """
    if not is_checkpoint(weights):
        raise UserError(f"{weights} is an exported file: name a run, or a checkpoint (.pt)")
    model = load_checkpoint_model(weights, None, "export")
    if model.task != manifest.task:
        raise UserError(
            f"{iteration.label} is for {model.task}, but {PREPARED_FOLDER} is for {manifest.task}: "
            "prepare the data that it was trained on"
        )
    names = tuple(str(model.names[index]) for index in range(len(model.names)))
    _require_classes(iteration, names, manifest)
    return ExportSource(
        weights,
        hash_file(weights),
        _build_stem(iteration.label),
        iteration.label,
        names,
        _find_imgsz(iteration, model.overrides),
        float(iteration.predicts_with.get("conf", DEFAULT_THRESHOLD)),
        iteration.run_id,
        iteration.data,
    )


def _require_classes(iteration: Iteration, names: tuple[str, ...], manifest: Manifest) -> None:
    merged = len(names) == 1 and len(manifest.names) > 1  # finetune.single_cls
    if names != manifest.names and not merged:
        raise UserError(
            f"{iteration.label} has the classes {', '.join(names)}, but {PREPARED_FOLDER} has "
            f"{', '.join(manifest.names)}: prepare the data that it was trained on"
        )


def _find_imgsz(iteration: Iteration, overrides: Mapping[str, Any]) -> int:
    """Return the image size chosen on val, or that of the training."""
    known = (
        iteration.predicts_with.get("imgsz"),
        iteration.params.get("finetune.imgsz"),
        overrides.get("imgsz"),
    )
    return int(next((value for value in known if value), DEFAULT_IMGSZ))


def _build_stem(label: str) -> str:
    """Return a file name of plain characters, without the ending of a checkpoint."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", label.removesuffix(".pt")).strip("-.")
    return plain or "model"
