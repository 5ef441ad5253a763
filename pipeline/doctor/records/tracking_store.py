"""Check the MLflow store: a database of this machine, or a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.file_locks import find_lock_holder
from pipeline.doctor.leftovers.project_processes import format_command
from pipeline.tracking.examination.database_file import DatabaseState

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject
    from pipeline.tracking.target import TrackingTarget

_OUTAGE: Final = (
    "check that the server runs, its address (tracking.uri) and your credentials; trainings go on meanwhile, "
    "and their messages are sent later"
)
_SAVE: Final = "move it away and keep it; the next run makes a new one"


def check_tracking_store(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that runs can be logged."""
    target = project.target
    if target is None:
        yield CheckFinding(
            "warning", "it is unknown where runs are logged to", "mend the configuration first"
        )
    elif target.database is None:
        yield _check_server(project, target)
    elif project.database_state is None:
        yield _check_absent(target.database)
    else:
        yield _check_database(project, target.database, project.database_state)


def _check_server(project: ExaminedProject, target: TrackingTarget) -> CheckFinding:
    try:
        answer = project.server
    except UserError as error:
        return CheckFinding("fault", str(error), _OUTAGE)
    installed = _read_installed_version()
    if answer is None:
        return CheckFinding("ok", target.uri)
    if answer.version and answer.version.split(".")[0] != installed.split(".")[0]:
        seen = f"{target.uri} runs MLflow {answer.version}, and this machine has {installed}"
        return CheckFinding("warning", seen, "use the same main version on both")
    said = f", MLflow {answer.version}" if answer.version else ""
    more = "" if answer.has_experiment else f"; the first run makes the experiment {target.experiment}"
    return CheckFinding("ok", f"{target.uri} answers and lets you in{said}{more}")


def _check_absent(database: Path) -> CheckFinding:
    place = next(path for path in database.parents if path.exists())
    if not os.access(place, os.W_OK):
        seen = f"{database} cannot be made: {place} cannot be written"
        return CheckFinding("fault", seen, "change the access rights of the folder, or set tracking.uri")
    return CheckFinding("ok", f"the first run makes {database.name}")


def _check_database(project: ExaminedProject, database: Path, state: DatabaseState) -> CheckFinding:
    if state.problem is None:
        size = f"{database.stat().st_size / 1e6:.1f} MB"
        return CheckFinding("ok", f"{database.name}, {size}, tables of MLflow {_read_installed_version()}")
    if state.problem == "locked":
        return _describe_lock(project, database)
    if state.problem == "older":
        seen = f"{database.name} was made by an older MLflow: the next command upgrades it"
        return CheckFinding("warning", seen, f"copy {database.name} before, as there is no way back")
    return _describe_fault(database, state)


def _describe_fault(database: Path, state: DatabaseState) -> CheckFinding:
    installed = _read_installed_version()
    seen, advice = {
        "no-permission": (f"{state.detail} cannot be written", "change its access rights, or its owner"),
        "no-database": (f"{database} is no SQLite database", _SAVE),
        "damaged": (
            f"{database} is damaged ({state.detail[:120]})",
            "restore a backup; or save what can be read: "
            f"`sqlite3 {database.name} .recover | sqlite3 new.db`",
        ),
        "foreign": (f"{database} is a database of another program", "set tracking.uri to another file"),
        "newer": (
            f"{database.name} was made by another MLflow than {installed}, which does not know its tables "
            f"({state.detail})",
            "run `make setup` of the commit that made it, or set tracking.uri to another file",
        ),
    }[str(state.problem)]
    return CheckFinding("fault", seen, advice)


def _describe_lock(project: ExaminedProject, database: Path) -> CheckFinding:
    holder = find_lock_holder(database)
    commands = {process.pid: format_command(process.words) for process in project.processes}
    who = f" by process {holder} ({commands.get(holder, 'of another program')})" if holder else ""
    seen = f"{database.name} has been locked for seconds{who}: runs cannot be logged, and their messages wait"
    return CheckFinding("fault", seen, "end that program, such as a browser of databases with open changes")


def _read_installed_version() -> str:
    try:
        return version("mlflow")
    except PackageNotFoundError:
        return "(not installed)"
