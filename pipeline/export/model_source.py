"""The checkpoint that is exported: its file, and what its run says about it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.iterations.inference_settings import DEFAULT_CONF, find_imgsz
from pipeline.iterations.iteration import SINGLE_CLASS_KEY, Iteration
from pipeline.iterations.predict_split import PreparedData, is_single_class, match_classes
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.class_names import read_class_names
from pipeline.yolo.inference.model_file import is_checkpoint, load_checkpoint_model

STAGE: Final = "export"
_MAX_STEM_BYTES: Final = 150
"""A disk allows 255 for a whole name."""


class ExportSource(NamedTuple):
    """A checkpoint to export.

    Attributes:
        iteration: What is known about it; its sha256 is that of the file.
        weights: The file.
        sha256: Of it.
        stem: The beginning of the names of exported files.
        names: Its class names by index.
        imgsz: The image size that it predicts with, in pixels.
        threshold: The score from which a box counts, as chosen on val.
    """

    iteration: Iteration
    weights: Path
    sha256: str
    stem: str
    names: tuple[str, ...]
    imgsz: int
    threshold: float


def open_source(iteration: Iteration, weights: Path, data: PreparedData) -> ExportSource:
    """Check that a checkpoint can be exported and fits the prepared data, on which it will be measured.

    Args:
        iteration: See `Iteration`.
        weights: The file of its weights.
        data: The prepared data.

    Raises:
        UserError: It was exported already, is no checkpoint, or is for another task or other classes.
    """
    if not is_checkpoint(weights):
        raise UserError(f"{weights} is an exported file: name a run, or a checkpoint (.pt)")
    model = load_checkpoint_model(weights, data.manifest.task, STAGE)
    names = read_class_names(model)
    is_merged = is_single_class(iteration, weights, STAGE)
    match_classes(iteration, names, data, is_merged=is_merged)
    sha256 = hash_file(weights)
    known = replace(iteration, sha256=sha256, params={**iteration.params, SINGLE_CLASS_KEY: is_merged})
    return ExportSource(
        known,
        weights,
        sha256,
        _build_stem(iteration.label),
        names,
        find_imgsz(iteration, weights, stage=STAGE),
        float(iteration.predicts_with.get("conf", DEFAULT_CONF)),
    )


def _build_stem(label: str) -> str:
    """Return the beginning of a file name: plain characters, without the ending of a checkpoint."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", label.removesuffix(".pt")).strip("-.")
    return plain[:_MAX_STEM_BYTES] or "model"
