"""Confirm after a training what it worked from; nothing must resume from images that changed meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import ChangedInputError, UserError
from pipeline.core.stages import StageGuard
from pipeline.finetune.checkpoint_folder import RATE_TEST_FILE
from pipeline.yolo.job import ULTRALYTICS_FOLDER


@contextmanager
def confirm_training_inputs(guard: StageGuard, folder: Path) -> Iterator[None]:
    """Confirm at the end of the block what a training worked from.

    Checkpoints of a training whose images changed while it read them are deleted, with its rate test and the
    images that it decoded, also if it fails or is stopped; then its own error is raised.

    Args:
        guard: Of the stage.
        folder: Of the training's checkpoints.

    Raises:
        UserError: Parameters, code or inputs changed.
    """
    try:
        yield
    except BaseException:
        with suppress(UserError):
            _confirm(guard, folder)
        raise
    _confirm(guard, folder)


def _confirm(guard: StageGuard, folder: Path) -> None:
    try:
        guard.confirm()
    except ChangedInputError:
        for path in [*folder.glob("*.ckpt"), *folder.glob(RATE_TEST_FILE)]:
            path.unlink()
        shutil.rmtree(
            folder / ULTRALYTICS_FOLDER, ignore_errors=True
        )  # images decoded for finetune.cache=disk
        raise
