"""Require that a stage uses the images and weights whose fingerprints DVC records.

`compose` takes the fingerprints before the first stage. Until `prepare` or `finetune` reads a file, another
one may have taken its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.compose.input_fingerprints import fingerprint_source_images
from pipeline.compose.weight_fingerprints import (
    InputFingerprint,
    fingerprint_architecture,
    fingerprint_teacher,
    fingerprint_weights,
)
from pipeline.core.errors import UserError
from pipeline.core.model_names import model_name_for_task
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest


def require_recorded_inputs(stage: str, values: Mapping[str, Any], lock: Mapping[str, Any]) -> None:
    """Require that the inputs from outside are those of compose.lock.json.

    Args:
        stage: The stage that is about to run.
        values: The whole configuration.
        lock: compose.lock.json; empty if there is none.

    Raises:
        UserError: An input changed since `compose`, or is absent.
    """
    if stage == "prepare" and "source" in lock:
        _require_same(fingerprint_source_images(values["data"]), lock["source"])
    if stage == "finetune" and "weights" in lock:
        model, finetune = values["model"], values["finetune"]
        _require_recorded_weights(values, lock)
        _require_same(fingerprint_teacher(finetune["distill_model"], model["folder"]), lock["teacher"])
        _require_same(fingerprint_architecture(model["architecture"], lock), lock["architecture"])


def _require_recorded_weights(values: Mapping[str, Any], lock: Mapping[str, Any]) -> None:
    """Check the base weights for the task that `prepare` found; names of official weights depend on it."""
    model, finetune, wanted = values["model"], values["finetune"], values["data"].get("task", "auto")
    task = read_manifest(PREPARED_FOLDER, verify_files=False).task if wanted == "auto" else wanted
    used = fingerprint_weights(model, finetune, task)
    if used.name == fingerprint_weights(model, finetune, wanted).name:
        _require_same(used, lock["weights"])
        return
    name = model_name_for_task(model["weights"], task)
    _require_same(used, lock.get("siblings", {}).get(name, used.otherwise))


def _require_same(item: InputFingerprint, recorded: str | None) -> None:
    if item.fingerprint is None and recorded != item.otherwise:
        raise UserError(
            f"{item.absent or item.name} is not on this machine, and the results are recorded for the file "
            "that was there: bring it back, or name another one"
        )
    if item.fingerprint not in {None, recorded}:
        raise UserError(
            f"{item.name} changed since compose, and DVC would take the results for those of the earlier "
            "contents: run `dvc repro`"
        )
