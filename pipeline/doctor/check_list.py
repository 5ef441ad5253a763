"""The checks of `finetrack doctor`, in order. Standard library only: each check is imported when it runs.

So a package that is missing costs the checks that need it, and no other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple


class DoctorCheck(NamedTuple):
    """A check.

    Attributes:
        name: Of one word or two, as printed.
        function: `MODULE:FUNCTION` below pipeline.doctor; called with an `ExaminedProject`, it returns
            findings.
        seconds: How long it may take.
    """

    name: str
    function: str
    seconds: float = 5.0


CHECKS: Final[Sequence[DoctorCheck]] = (
    DoctorCheck("python", "machine.interpreter:check_interpreter"),
    DoctorCheck("packages", "machine.packages:check_packages"),
    DoctorCheck("processor", "machine.processor:check_processor"),
    DoctorCheck("memory", "machine.memory:check_memory"),
    DoctorCheck("project path", "project.project_path:check_project_path"),
    DoctorCheck("git", "project.git_repository:check_git_repository", 15.0),
    DoctorCheck("config", "project.configuration:check_configuration", 15.0),
    DoctorCheck("DVC cache", "project.dvc_storage:check_dvc_cache", 10.0),
    DoctorCheck("DVC remote", "project.dvc_storage:check_dvc_remote", 15.0),
    DoctorCheck("disk space", "machine.disk_space:check_disk_space", 10.0),
    DoctorCheck("locks", "leftovers.lock_files:check_lock_files"),
    DoctorCheck("processes", "leftovers.orphaned_processes:check_orphaned_processes"),
    DoctorCheck("leftovers", "leftovers.temporary_files:check_temporary_files", 10.0),
    DoctorCheck("sweeps", "leftovers.stopped_sweeps:check_stopped_sweeps"),
    DoctorCheck("MLflow", "records.tracking_store:check_tracking_store", 20.0),
    DoctorCheck("clock", "machine.clock:check_clock", 15.0),
    DoctorCheck("journals", "records.journals:check_journals"),
    DoctorCheck("open runs", "records.open_runs:check_open_runs", 15.0),
    DoctorCheck("models", "records.run_models:check_run_models", 15.0),
    DoctorCheck("records", "records.contradictions:check_records", 20.0),
    DoctorCheck("torch", "machine.torch_device:check_torch", 30.0),
)
