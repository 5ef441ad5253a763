"""Fetch the weights of an iteration from MLflow or DVC into .finetrack/iterations, and verify them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER
from pipeline.dataset.history import WORKSPACE
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.resolve_reference import FINETUNED_ARTIFACT
from pipeline.iterations.weights_file import hash_path
from pipeline.storage.dvc_repository import RevisionReadError, copy_path_at_revision
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.storage.verified_copy import copy_verified
from pipeline.tracking.store.run_files import download_model_weights, download_run_files
from pipeline.tracking.store.tracked_runs import RunReader, TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget

WEIGHTS_FILE: Final = "best.pt"
MAX_UNUSED_DAYS: Final = 30
"""Fetched files are deleted so many days after their last use."""
Source = tuple[str, Callable[[Path], Path | None]]
"""A place for messages, and a function that copies the weights into a folder; None if they are not there."""


def fetch_weights(iteration: Iteration, target: TrackingTarget) -> Path:
    """Return a file with the weights of an iteration: itself if it is one, else below .finetrack/iterations/.

    It has the SHA-256 that the training recorded. What was fetched once is kept, until it is not used for
    `MAX_UNUSED_DAYS`.

    Args:
        iteration: See `resolve_reference`.
        target: MLflow's store and experiment.

    Raises:
        UserError: The weights are nowhere, or are damaged.
    """
    if iteration.file is not None:
        return _check_file(iteration, iteration.file)
    folder = create_scratch_folder(
        "iterations", iteration.sha256 or iteration.run_id or str(iteration.revision)
    )
    kept = folder / WEIGHTS_FILE
    _delete_unused(folder)
    if iteration.sha256 and kept.is_file() and hash_file(kept) == iteration.sha256:
        return kept
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as place:
        _fetch(iteration, target, Path(place)).replace(kept)
    return kept


def _delete_unused(used: Path) -> None:
    """Delete what was fetched of other iterations and not used for long; note that this one is used."""
    oldest = time.time() - MAX_UNUSED_DAYS * 86_400
    with suppress(OSError):  # another command deletes at the same time
        os.utime(used)
        for folder in used.parent.iterdir():
            if folder != used and folder.is_dir() and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _check_file(iteration: Iteration, file: Path) -> Path:
    if not file.exists():
        raise UserError(f"{file} does not exist any more: bring it back, and run again")
    if iteration.sha256 and hash_path(file) != iteration.sha256:
        raise UserError(f"{file} changed after its SHA-256 was taken: run again")
    return file


def _fetch(iteration: Iteration, target: TrackingTarget, folder: Path) -> Path:
    """Copy the weights from the first place that has them, and check them."""
    missed = []
    for number, (name, copy) in enumerate(_list_sources(iteration, target)):
        place = folder / str(number)
        place.mkdir()
        try:
            found = copy(place)
        except (TrackingUnavailableError, RevisionReadError) as error:
            missed.append(f"{name}: {' '.join(str(error).split())[:200]}")
            continue
        if found is not None:
            _verify(iteration, found, name)
            return found
        missed.append(f"{name}: there are none")
    raise UserError(
        f"the weights of {iteration.reference} cannot be fetched", *(missed or ["no place has them"])
    )


def _verify(iteration: Iteration, file: Path, name: str) -> None:
    digest = hash_file(file)
    if iteration.sha256 not in {None, digest}:
        raise UserError(
            f"the weights of {iteration.reference} in {name} are damaged: their SHA-256 is {digest}, and the "
            f"training recorded {iteration.sha256}: restore them from a copy, or train again"
        )


def _list_sources(iteration: Iteration, target: TrackingTarget) -> Iterator[Source]:
    """Yield the places of the weights: that which the reference names first."""
    if iteration.reference == WORKSPACE:
        yield str(FINETUNED_FOLDER), _copy_from_workspace
        return
    tracked = list(_list_tracked_sources(iteration, target))
    recorded = list(_list_recorded_sources(iteration))
    yield from (
        (*recorded, *tracked) if iteration.kind in {"experiment", "revision"} else (*tracked, *recorded)
    )


def _list_tracked_sources(iteration: Iteration, target: TrackingTarget) -> Iterator[Source]:
    reader = RunReader(target)
    training = iteration.facts.get("training") or iteration.run_id
    model_id = iteration.facts.get("model_id")
    if training:
        path = f"{FINETUNED_ARTIFACT}/{WEIGHTS_FILE}"
        yield f"MLflow's run {training}", lambda folder: download_run_files(reader, training, path, folder)
    if model_id:
        yield f"MLflow's model {model_id}", lambda folder: download_model_weights(reader, model_id, folder)


def _list_recorded_sources(iteration: Iteration) -> Iterator[Source]:
    revision = iteration.revision

    def copy(folder: Path) -> Path:
        copy_path_at_revision(FINETUNED_FOLDER / WEIGHTS_FILE, str(revision), folder / WEIGHTS_FILE)
        return folder / WEIGHTS_FILE

    if revision:
        yield f"DVC at {revision[:10]}", copy


def _copy_from_workspace(folder: Path) -> Path | None:
    file = FINETUNED_FOLDER / WEIGHTS_FILE
    if not file.is_file():
        return None
    copy_verified(file, folder / WEIGHTS_FILE)
    return folder / WEIGHTS_FILE
