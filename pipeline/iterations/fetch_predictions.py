"""Fetch the stored predictions of an iteration from MLflow, DVC or the workspace."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from filelock import FileLock

from pipeline.core.errors import UserError
from pipeline.core.paths import EVALUATION_FOLDER
from pipeline.dataset.history import WORKSPACE
from pipeline.iterations.iteration import Iteration
from pipeline.storage.dvc_repository import MissingContentsError, RevisionReadError, copy_path_at_revision
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.store.run_files import download_run_files
from pipeline.tracking.store.tracked_runs import RunReader
from pipeline.tracking.target import TrackingTarget

PREDICTIONS_FOLDER: Final = "predictions"
"""Below reports/evaluation, and below `evaluation` of a run's artifacts."""


def fetch_predictions(iteration: Iteration, target: TrackingTarget) -> Path | None:
    """Return a folder with the stored predictions of an iteration; None if it has none.

    They are fetched anew each time: an evaluation that is repeated replaces those of its run.

    Args:
        iteration: See `resolve_reference`.
        target: MLflow's store and experiment.

    Raises:
        UserError: MLflow or DVC does not answer.
    """
    if iteration.reference == WORKSPACE:
        return _find_in_workspace(iteration)
    if iteration.kind in {"experiment", "revision"}:
        return _fetch_recorded(iteration)
    if iteration.run_id is None:
        return None
    folder = create_scratch_folder("iterations", iteration.run_id)
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as place:
        path = f"{EVALUATION_FOLDER.name}/{PREDICTIONS_FOLDER}"
        fetched = download_run_files(RunReader(target), iteration.run_id, path, Path(place))
        return None if fetched is None else _keep(fetched, folder / PREDICTIONS_FOLDER)


def _find_in_workspace(iteration: Iteration) -> Path | None:
    """Return reports/evaluation/predictions if the workspace's weights made them."""
    folder = EVALUATION_FOLDER / PREDICTIONS_FOLDER
    is_current = any(name.startswith("test/") for name in iteration.metrics)
    return folder if folder.is_dir() and is_current else None


def _fetch_recorded(iteration: Iteration) -> Path | None:
    folder = create_scratch_folder("iterations", str(iteration.revision))
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as place:
        fetched = Path(place) / PREDICTIONS_FOLDER
        try:
            copy_path_at_revision(EVALUATION_FOLDER / PREDICTIONS_FOLDER, str(iteration.revision), fetched)
        except MissingContentsError:
            return None
        except RevisionReadError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the predictions of {iteration.reference} cannot be read: {reason}") from None
        return _keep(fetched, folder / PREDICTIONS_FOLDER)


def _keep(fetched: Path, kept: Path) -> Path:
    """Move fetched predictions to their place."""
    with FileLock(create_scratch_folder("locks") / "iterations.lock"):
        if kept.is_dir():
            kept.rename(fetched.parent / ".replaced")
        fetched.rename(kept)
    return kept
