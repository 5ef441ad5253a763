"""Set the environment variables that libraries read when they are imported."""

import os

from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root


def set_environment() -> None:
    """Keep matplotlib's cache in the project's scratch folder instead of the user's home.

    Called before anything imports matplotlib; Ultralytics and MLflow import it too.
    """
    os.environ["MPLCONFIGDIR"] = str(project_root() / SCRATCH_FOLDER / "matplotlib")


def is_debug_log() -> bool:
    """Return whether the user wants the messages of libraries too: FINETRACK_LOG=debug."""
    return os.environ.get("FINETRACK_LOG", "").lower() == "debug"
