"""Set the environment variables that libraries read when they are imported."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeline.storage.git import REPOSITORY_VARIABLES
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root

USER_VARIABLES: Final = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""What `getpass.getuser` reads before it asks the system."""


def set_environment() -> None:
    """Keep matplotlib's cache in the project's scratch folder instead of the user's home.

    Called before anything imports matplotlib; Ultralytics and MLflow import it too. Where a hook of git has
    started the command, git and DVC work on the project all the same.
    """
    for name in REPOSITORY_VARIABLES:
        os.environ.pop(name, None)
    scratch = project_root() / SCRATCH_FOLDER
    os.environ["MPLCONFIGDIR"] = str(scratch / "matplotlib")
    _name_unknown_user(scratch / "home")
    _spare_limited_memory()


def _name_unknown_user(home: Path) -> None:
    """Give a user of a container who has no name and no home folder both: DVC and torch end without them."""
    if not any(os.environ.get(name) for name in USER_VARIABLES) and hasattr(os, "getuid"):
        import pwd

        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            os.environ["LOGNAME"] = f"uid{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(home)


def _spare_limited_memory() -> None:
    """Start no threads for numpy under `ulimit -v`: OpenBLAS would end the process if it got none."""
    with suppress(ImportError):  # not on Windows
        import resource

        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def is_debug_log() -> bool:
    """Return whether the user wants the messages of libraries too: FINETRACK_LOG=debug."""
    return os.environ.get("FINETRACK_LOG", "").lower() == "debug"
