"""Create the MLflow client: process-wide settings, database tables, outage detection."""

from __future__ import annotations

import errno
import logging
import math
import os
import sqlite3
from contextlib import closing
from functools import cached_property
from typing import Any

from filelock import FileLock

from pipeline.core.errors import UserError
from pipeline.runtime.gc_pause import pause_gc
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.target import TrackingTarget

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""With it MLflow shows the pages for model training; without it those for agents and prompts."""


class MlflowClientCache:
    """The client of one MLflow store, and its experiment. It sends nothing before it is needed."""

    def __init__(self, target: TrackingTarget) -> None:
        _set_mlflow_environment(target)
        with pause_gc():
            from mlflow import MlflowClient

            if target.database:
                from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 (the client needs it, too)

        if target.database:
            _prepare_database(target)
        self.target = target
        self.client: Any = MlflowClient(tracking_uri=target.address)

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment. It is created if it does not exist; several processes may try at once."""
        from mlflow.exceptions import MlflowException

        name = self.target.experiment
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                location = self.target.artifact_location
                return str(self.client.create_experiment(name, location, tags=EXPERIMENT_TAGS))
            except MlflowException as error:
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise error from None
        if found.lifecycle_stage != "active":
            raise StoreUnavailableError(
                f"the MLflow experiment {name} was deleted: restore it, or set tracking.experiment"
            )
        return str(found.experiment_id)

    def search_runs(self, condition: str, *, limit: int = 1) -> list[Any]:
        """Return the newest runs of the experiment that match MLflow's filter expression."""
        return list(self.client.search_runs([self.experiment], filter_string=condition, max_results=limit))


class StoreUnavailableError(Exception):
    """The store answers, but accepts nothing until the user acts."""


def is_outage(error: Exception) -> bool:
    """Check whether the store cannot accept messages now, so that the message waits.

    It is not reachable, overloaded, locked, out of disk space, or wants other credentials. With any other
    error the store refused this message for good.
    """
    from mlflow.exceptions import MlflowException

    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(error, MlflowException):
        code, kind = error.get_http_status_code(), error.error_code
        return code >= 500 or code in {401, 403, 408, 429} or kind == "ENDPOINT_NOT_FOUND"
    response = getattr(error, "response", None)
    if response is not None:
        return bool(response.status_code >= 500 or response.status_code in {401, 403, 404, 408, 429})
    return isinstance(error, OSError | StoreUnavailableError)


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
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:  # another process uses it
            raise _build_database_error(target, error) from error


def _set_mlflow_environment(target: TrackingTarget) -> None:
    """Set MLflow's environment variables: no telemetry, and no call that waits for minutes."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(target.timeout))}
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox retries in the background
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # the sender reports errors itself, once
    }.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.CRITICAL)


def _prepare_database(target: TrackingTarget) -> None:
    """Create or migrate the tables, one process at a time: several at once half-migrate a new database.

    Raises:
        UserError: The file is not a database, is of another version of MLflow, or cannot be written.
    """
    try:
        with FileLock(create_scratch_folder("locks") / "mlflow.lock", timeout=300):
            _create_database(target)
            _migrate(target.address, target)
            update_artifact_locations(target)
    except Exception as error:
        raise _build_database_error(target, error) from error


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
    _migrate(f"sqlite:///{draft}", target)
    draft.rename(database)


def _migrate(address: str, target: TrackingTarget) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(address, target.artifact_root).engine.dispose()


LOCATION_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
}


def update_artifact_locations(target: TrackingTarget) -> None:
    """Update the artifact locations in the database after the project's folder was moved.

    Otherwise old runs show no files, and new runs write theirs to the old place. MLflow has no call for this.
    Call it under the lock of `_prepare_database`.
    """
    if not target.database or not target.artifact_location or not target.artifact_root:
        return
    with closing(sqlite3.connect(target.database, timeout=20)) as database, database:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        [location] = database.execute(query, (target.experiment,)).fetchone() or [target.artifact_location]
        old = location.removesuffix(target.artifact_location.removeprefix(target.artifact_root))
        if old in {location, target.artifact_root} or not old.startswith("file:"):
            return
        for table, column in LOCATION_COLUMNS.items():
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (f"{target.artifact_root}/", len(old) + 2, len(old) + 1, f"{old}/"),
            )
