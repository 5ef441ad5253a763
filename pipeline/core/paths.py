"""Files and folders that the stages read and write, relative to their folder; and the home folder."""

import os
from pathlib import Path
from typing import Final

PARAMS_FILE: Final = Path("params.yaml")
COMPOSE_LOCK_FILE: Final = Path("compose.lock.json")
SPLITS_LOCK_FILE: Final = Path("splits.lock.json")
"""The split of each image in earlier runs of prepare; the next one continues from it."""

RUN_OUTPUTS: Final = (PARAMS_FILE, COMPOSE_LOCK_FILE, SPLITS_LOCK_FILE, Path("dvc.lock"), Path("reports"))
"""Files tracked by git that a run changes: changes in them do not count as changes of the code."""

MACHINE_SETTINGS: Final = Path(".dvc")
"""Tracked settings of DVC, where a password may stand that is not committed; no run depends on them."""

RUN_INPUT_FOLDERS: Final = (Path("conf"), Path("pipeline"))
"""Folders in which a file that git does not track can change a run too."""

PREPARED_FOLDER: Final = Path("data/prepared")
SPLITS_FILE: Final = Path("reports/splits.json")
"""The split of each image. It is small and kept in git, so that every clone knows the held-out images."""
AUGMENTED_FOLDER: Final = Path("data/augmented")
FINETUNED_FOLDER: Final = Path("models/finetuned")

TRAINING_METRICS_FILE: Final = Path("reports/training.json")
TRAINING_PLOTS_FOLDER: Final = Path("reports/training")
TEST_METRICS_FILE: Final = Path("reports/metrics.json")
EVALUATION_FOLDER: Final = Path("reports/evaluation")
PREVIEW_FOLDER: Final = Path("reports/preview")

SPLITS: Final = ("train", "val", "test")
"""The folders below images/ and labels/ of the prepared dataset."""


def expand_home(path: str | Path) -> Path:
    """Return a path with the home folder in place of `~`, or of `~name` where there is a user of that name.

    Else `~name` stays as it is: it is a folder then, or a slip, about which the caller has a sentence.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises an error at an unknown user
