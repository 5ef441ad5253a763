"""The SQLite database of runs: check, create and migrate it, and follow a moved project's folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import create_scratch_folder, project_root
from pipeline.tracking.store.outage import SERVED_FILES_SCHEME, DatabaseLockedError, is_locked
from pipeline.tracking.target import TrackingTarget, format_sqlite_uri

LOCK_WAIT_SECONDS: Final = 5.0
"""Seconds to wait for a database that another process has locked; after that the messages wait."""
CREATION_WAIT_SECONDS: Final = 60.0
"""Seconds to wait for another process of this project that creates or migrates the database."""


def check_database(target: TrackingTarget) -> None:
    """Check that the database file can be written, without MLflow, which takes seconds to load.

    A server is not checked.

    Raises:
        UserError: The file is not a database, or the file or its folder cannot be written.
    """
    database = target.database
    if database is None:
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        for place in (database.parent, database):
            if place.exists() and not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        if database.exists():
            with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", timeout=0, uri=True)) as found:
                found.execute("PRAGMA schema_version")
    except (OSError, sqlite3.Error) as error:
        if not is_locked(error):  # another process uses it
            raise _build_database_error(target, error) from error


def require_reachable_files(target: TrackingTarget) -> None:
    """Require that files of new runs can be stored: those of an experiment of a server go through it alone.

    A server is not checked, nor a database that cannot be read now.

    Raises:
        UserError: The experiment was created through an MLflow server, and the database is used without it.
    """
    database = target.database
    if database is None or not database.exists():
        return
    location = ""
    with (
        contextlib.suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", timeout=0, uri=True)) as found,
    ):
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        [location] = found.execute(query, (target.experiment,)).fetchone() or [""]
    if (location or "").startswith(SERVED_FILES_SCHEME):
        raise UserError(
            f"the MLflow experiment {target.experiment} of {target.uri} was created through an MLflow "
            f"server, which alone stores its files ({location}): set tracking.uri to the address of that "
            "server, or tracking.experiment to another name"
        )


def prepare_database(target: TrackingTarget) -> None:
    """Create or migrate the tables, one process at a time: several at once half-migrate a new database.

    Raises:
        UserError: The file is not a database, is of another version of MLflow, or cannot be written.
        DatabaseLockedError: Another process holds its lock.
    """
    try:
        with FileLock(create_scratch_folder("locks") / "mlflow.lock", timeout=CREATION_WAIT_SECONDS):
            _require_unlocked(target)
            _create_database(target)
            _migrate(target.address, target)
            update_artifact_locations(target)
    except Exception as error:
        if is_locked(error) or isinstance(error, Timeout):
            raise DatabaseLockedError(f"another process has locked {target.uri}") from error
        raise _build_database_error(target, error) from error


def _require_unlocked(target: TrackingTarget) -> None:
    """Wait for the lock for a few seconds: MLflow would wait longer, and not say what it waits for."""
    if target.database and target.database.exists():
        address = f"{target.database.as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, timeout=LOCK_WAIT_SECONDS, uri=True)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()


def _build_database_error(target: TrackingTarget, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(
        f"MLflow cannot use {target.uri}: {reason}; repair the file, move it away, or set tracking.uri"
    )


def _create_database(target: TrackingTarget) -> None:
    """Create a new database under a temporary name: one that is half-migrated cannot be repaired."""
    database = target.database
    if database is None or database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    draft = database.with_name(f".{database.name}.new")
    draft.unlink(missing_ok=True)
    _migrate(format_sqlite_uri(draft), target)
    draft.rename(database)


def _migrate(address: str, target: TrackingTarget) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(address, target.artifact_root).engine.dispose()


FIRST_EXPERIMENT: Final = 0
"""The number of the experiment that MLflow creates with the tables."""
LOCATION_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def update_artifact_locations(target: TrackingTarget) -> None:
    """Update the artifact locations in the database after the project's folder was moved or copied.

    Otherwise old runs show no files, and new runs write theirs to the old place. MLflow has no call for this.
    Call it under the lock of `prepare_database`. A database outside this project did not move with it.
    """
    if not target.database:
        return
    with closing(sqlite3.connect(target.database, timeout=20)) as database, database:
        for old in find_old_roots(database, target):
            for table, column in LOCATION_COLUMNS:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (f"{target.artifact_root}/", len(old) + 2, len(old) + 1, f"{old}/"),
                )


def find_old_roots(database: sqlite3.Connection, target: TrackingTarget) -> list[str]:
    """Find the artifact roots that this project had at earlier places.

    MLflow's first experiment has the root of the time when the database was created. Another root counts if
    files of its experiments are in this project, or if it is that of the present experiment. What is left
    has an address that a user chose, such as a folder on another disk.

    Args:
        database: A connection.
        target: Its store; only one in the project's folder moves with it.

    Returns:
        Addresses such as `file:///old/mlruns`, without the present one; each once.
    """
    present = target.artifact_root
    if present is None or not target.is_own_database:
        return []
    here = _get_folder(present)
    found: dict[str, None] = {}
    query = "SELECT experiment_id, name, artifact_location FROM experiments"
    for number, name, location in database.execute(query).fetchall():
        before, separator, rest = (location or "").rpartition("/mlruns/")
        old = f"{before}/mlruns"
        if not separator or not old.startswith("file:") or _get_folder(old).is_relative_to(project_root()):
            continue
        is_present = name == target.experiment and location == f"{old}{target.experiment_path}"
        if number == FIRST_EXPERIMENT or is_present or (here / url2pathname(rest)).is_dir():
            found[old] = None
    return [*found]


def _get_folder(address: str) -> Path:
    """Return the folder of a file's URI, where links lead to."""
    return Path(url2pathname(urlsplit(address).path)).resolve()
