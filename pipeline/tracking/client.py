"""The one door to MLflow: its process-wide settings, a client, and a database that is ready."""

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
from pipeline.runtime.gc_pause import without_collecting
from pipeline.storage import files
from pipeline.tracking.target import TrackingTarget

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Opens MLflow's pages for model training; without it they are those for agents and prompts."""


class MlflowClientCache:
    """MLflow at one target. Nothing goes over the network before it is needed."""

    def __init__(self, target: TrackingTarget) -> None:
        _prepare(target)
        with without_collecting():
            from mlflow import MlflowClient

            if target.database:
                from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 (the client needs it, too)

        if target.database:
            _initialise(target)
        self.target = target
        self.client: Any = MlflowClient(tracking_uri=target.address)

    @cached_property
    def experiment(self) -> str:
        """The experiment's id; it is created where it does not exist, by whoever comes first."""
        from mlflow.exceptions import MlflowException

        name = self.target.experiment
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name, self.target.place, tags=KIND))
            except MlflowException as error:
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise error from None
        if found.lifecycle_stage != "active":
            raise StoreUnavailableError(
                f"the MLflow experiment {name} was deleted: restore it, or set tracking.experiment"
            )
        return str(found.experiment_id)

    def search(self, condition: str, *, limit: int = 1) -> list[Any]:
        """Return the newest runs of the experiment that fulfil MLflow's filter expression."""
        return list(self.client.search_runs([self.experiment], filter_string=condition, max_results=limit))


class StoreUnavailableError(Exception):
    """The store answers, but takes nothing until the user acts."""


def is_outage(error: Exception) -> bool:
    """Tell a store that cannot take a message now from a message that it will never take.

    Not reachable, overloaded, locked, out of disk, or without the right credentials: the message waits.
    Anything else was understood and refused.
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


def refuse_unusable(target: TrackingTarget) -> None:
    """Refuse a database that is none or cannot be written, without MLflow, which takes seconds to load.

    Raises:
        Refused: It says so, or its folder does; of a server nothing is said.
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
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:  # another process is at it
            raise _unusable(target, error) from error


def _prepare(target: TrackingTarget) -> None:
    """Set what MLflow reads from the environment: nothing is sent home, and no call waits for minutes."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(target.timeout))}
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox tries again, in the background
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what a user has to know is said by the sender, once
    }.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.CRITICAL)


def _initialise(target: TrackingTarget) -> None:
    """Create or meet the tables, one process at a time: several at once half-migrate a fresh database.

    Raises:
        Refused: The file is no database, of another version of MLflow, or cannot be written.
    """
    try:
        with FileLock(files.scratch("locks") / "mlflow.lock", timeout=300):
            _create(target)
            _migrate(target.address, target)
            follow(target)
    except Exception as error:
        raise _unusable(target, error) from error


def _unusable(target: TrackingTarget, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(
        f"MLflow cannot use {target.uri}: {reason}; mend the file, move it away, or set tracking.uri"
    )


def _create(target: TrackingTarget) -> None:
    """Make a fresh database under another name: a stop half-way would leave it beyond mending."""
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

    SqlAlchemyStore(address, target.artifacts).engine.dispose()


COLUMNS = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}


def follow(target: TrackingTarget) -> None:
    """Point the database to the files in this folder, where its experiment still names another one.

    Else old runs would show no files, and new ones would write theirs to where the project once was. For this
    MLflow has no call of its own; call it under the lock of the database's initialisation.
    """
    if not target.database or not target.place or not target.artifacts:
        return
    with closing(sqlite3.connect(target.database, timeout=20)) as database, database:
        question = "SELECT artifact_location FROM experiments WHERE name = ?"
        [place] = database.execute(question, (target.experiment,)).fetchone() or [target.place]
        old = place.removesuffix(target.place.removeprefix(target.artifacts))
        if old in {place, target.artifacts} or not old.startswith("file:"):
            return
        for table, column in COLUMNS.items():
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (f"{target.artifacts}/", len(old) + 2, len(old) + 1, f"{old}/"),
            )
