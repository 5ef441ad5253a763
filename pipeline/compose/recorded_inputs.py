"""Require that a stage uses the images and weights whose fingerprints DVC records.

`compose` takes the fingerprints before the first stage. Until `prepare` or `finetune` reads a file, another
one may have taken its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.compose.input_fingerprints import (
    RESTORED_KEY,
    fingerprint_source_images,
    fingerprint_unlabelled_images,
    is_restored_input,
)
from pipeline.compose.weight_fingerprints import (
    InputFingerprint,
    fingerprint_architecture,
    fingerprint_teacher,
    fingerprint_weights,
)
from pipeline.core.errors import UserError
from pipeline.core.model_names import model_name_for_task
from pipeline.core.paths import COMPOSE_LOCK_FILE, PREPARED_FOLDER
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
    for item, recorded in _list_inputs(stage, values, lock):
        _require_same(item, recorded, is_restored=is_restored_input(item, lock))


def _list_inputs(
    stage: str, values: Mapping[str, Any], lock: Mapping[str, Any]
) -> Iterator[tuple[InputFingerprint, str | None]]:
    """Yield the inputs of a stage as they are now, each with its recorded fingerprint."""
    if stage == "prepare" and "source" in lock:
        yield fingerprint_source_images(values["data"]), lock["source"]
    if stage == "prepare" and "unlabelled" in lock:
        yield fingerprint_unlabelled_images(values["data"]), lock["unlabelled"]
    if stage == "finetune" and "weights" in lock:
        model, finetune = values["model"], values["finetune"]
        yield _fingerprint_used_weights(values, lock)
        yield fingerprint_teacher(finetune["distill_model"], model["folder"]), lock["teacher"]
        yield fingerprint_architecture(model["architecture"], lock), lock["architecture"]


def _fingerprint_used_weights(
    values: Mapping[str, Any], lock: Mapping[str, Any]
) -> tuple[InputFingerprint, str | None]:
    """Return the base weights for the task that `prepare` found; names of official ones depend on it."""
    model, finetune, wanted = values["model"], values["finetune"], values["data"].get("task", "auto")
    task = read_manifest(PREPARED_FOLDER, verify_files=False).task if wanted == "auto" else wanted
    used = fingerprint_weights(model, finetune, task)
    if used.name == fingerprint_weights(model, finetune, wanted).name:
        return used, lock["weights"]
    name = model_name_for_task(model["weights"], task)
    return used, lock.get("siblings", {}).get(name, used.otherwise)


def _require_same(item: InputFingerprint, recorded: str | None, *, is_restored: bool) -> None:
    if item.fingerprint is None and recorded != item.otherwise:
        raise UserError(
            f"{item.absent or item.name} is not on this machine, and the results are recorded for the file "
            "that was there: bring it back, or name another one"
        )
    if item.fingerprint in {None, recorded}:
        return
    if is_restored:
        raise UserError(
            f"{item.name} has changed since the restored iteration, whose record stands: to use it as it is "
            f"now, delete `{RESTORED_KEY}` in {COMPOSE_LOCK_FILE} and run `dvc repro`"
        )
    raise UserError(
        f"{item.name} changed since compose, and DVC would take the results for those of the earlier "
        "contents: run `dvc repro`"
    )
