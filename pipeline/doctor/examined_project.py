"""What several checks need to know of the project; each part is read once, when it is first asked for.

Nothing is written: the functions that stages use create the scratch folder, and fill caches in it.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root

if TYPE_CHECKING:
    from pipeline.config.schema import Config
    from pipeline.doctor.leftovers.project_processes import ProjectProcess
    from pipeline.storage.dvc_remotes.dvc_settings import DvcSettings
    from pipeline.tracking.examination.database_file import DatabaseState
    from pipeline.tracking.examination.server import ServerAnswer
    from pipeline.tracking.examination.stored_runs import StoredRuns
    from pipeline.tracking.target import TrackingTarget

Found = TypeVar("Found")


class ExaminedProject:
    """The project that the checks examine."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or project_root()

    def examine_again(self) -> ExaminedProject:
        """Return the project as it is now, such as its processes."""
        return ExaminedProject(self.root)

    def start_torch(self) -> None:
        """Start the process that imports torch, so that the other checks run meanwhile."""
        with suppress(OSError):  # the check of torch tries again, and says why
            _ = self.torch

    def close(self) -> None:
        """End the process that imports torch, if it hangs."""
        if "torch" in self.__dict__ and self.torch.poll() is None:
            self.torch.kill()

    @property
    def scratch(self) -> Path:
        """The scratch folder, which need not exist."""
        return self.root / SCRATCH_FOLDER

    @property
    def config(self) -> Config:
        """The configuration of the next `dvc repro`.

        Raises:
            UserError: It cannot be read, or cannot run.
        """
        return _return_or_raise(self._read_config)

    @cached_property
    def _read_config(self) -> Config | UserError:
        from pipeline.doctor.project.configuration import read_planned_config

        try:
            return read_planned_config(self.scratch)
        except UserError as error:
            return error

    @cached_property
    def target(self) -> TrackingTarget | None:
        """The MLflow store of the configuration, or of the last one that ran; None if there was none."""
        from pipeline.doctor.project.configuration import find_tracking_target

        return find_tracking_target(self)

    @cached_property
    def dvc_settings(self) -> DvcSettings:
        """The settings of DVC.

        Raises:
            UserError: They cannot be read.
        """
        from pipeline.storage.dvc_remotes.dvc_settings import read_dvc_settings

        return read_dvc_settings(self.root)

    @cached_property
    def processes(self) -> list[ProjectProcess]:
        """The processes of this project that run, without this one."""
        from pipeline.doctor.leftovers.project_processes import list_project_processes

        return list_project_processes(self.root)

    @cached_property
    def torch(self) -> subprocess.Popen[str]:
        """The process that imports torch."""
        from pipeline.doctor.machine.torch_device import start_torch

        return start_torch()

    @property
    def server(self) -> ServerAnswer | None:
        """The answer of the tracking server; None where the store is a database of this machine.

        Raises:
            TrackingUnavailableError: It does not answer, or refuses.
        """
        return _return_or_raise(self._asked_server)

    @cached_property
    def _asked_server(self) -> ServerAnswer | UserError | None:
        """What the server answered: it is asked once, since one that hangs costs seconds."""
        from pipeline.tracking.examination.server import ask_server

        try:
            return ask_server(self.target) if self.target and self.target.database is None else None
        except UserError as error:
            return error

    @cached_property
    def database_state(self) -> DatabaseState | None:
        """What is wrong with the database of runs; None where there is none yet, or the store is a server."""
        from pipeline.tracking.examination.database_file import examine_database

        database = self.target.database if self.target else None
        return examine_database(database) if database and database.exists() else None

    @cached_property
    def runs(self) -> StoredRuns | None:
        """The runs in MLflow; None where there is no store yet.

        Raises:
            TrackingUnavailableError: The store cannot be read.
        """
        from pipeline.tracking.examination.open_store import open_stored_runs

        return open_stored_runs(self.target) if self.target else None

    @cached_property
    def lock_stages(self) -> dict[str, Any]:
        """The stages in dvc.lock.

        Raises:
            UserError: The file is damaged.
        """
        from pipeline.doctor.records.lock_stages import read_lock_stages

        return read_lock_stages(self.root)


def _return_or_raise(found: Found | UserError) -> Found:
    """Return what was found, or raise the error that was met."""
    if isinstance(found, UserError):
        raise found
    return found
