"""Open the database of a study: sqlite in .finetrack, or a PostgreSQL server of a team."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import optuna
import sqlalchemy
import sqlalchemy.exc
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.environment import is_debug_log
from pipeline.sweep.study.database.address import DatabaseAddress, hide_passwords

HEARTBEAT_SECONDS: Final = 20
"""How often a process says in the database that it lives."""
GRACE_SECONDS: Final = 120
"""After so long without a word another process takes the points of a process over."""
_LOCK_WAIT_SECONDS: Final = 60
_RUN_WAIT_SECONDS: Final = 300
"""The processes of a study open its run one after another; each may wait for MLflow."""
_SERVER_WAIT_SECONDS: Final = 10
_SERVER_LOCK: Final = 5_176_423_011
"""The number of the server's lock: any, but always the same."""
_LOCK_TIMEOUT: Final = "55P03"
"""PostgreSQL's code of an error where a lock was waited for too long."""
_RETRY_PAUSES: Final = (0.2, 1.0, 3.0, 8.0, 15.0)
"""Seconds between tries where the database does not answer: a sweep outlives a restart of its server."""
Result = TypeVar("Result")


def open_storage(address: DatabaseAddress) -> BaseStorage:
    """Open the database, and create its tables where there are none, one process at a time.

    Raises:
        UserError: It cannot be used; what is wrong and what to do.
    """
    if not is_debug_log():
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
    with reporting_database_errors(address), hold_database_lock(address):
        return optuna.storages.get_storage(_connect(address))


def close_storage(storage: BaseStorage) -> None:
    """Close the connections of this process."""
    storage.remove_session()
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage):
        backend.engine.dispose()


@contextmanager
def hold_database_lock(address: DatabaseAddress) -> Iterator[None]:
    """Keep other processes from creating the tables, or claiming points, at the same time.

    Raises:
        UserError: Another process of this machine holds the lock of a file.
        sqlalchemy.exc.SQLAlchemyError: The server does not answer.
    """
    lock = _StudyLock(address.file and address.file.with_suffix(".lock"), _SERVER_LOCK, _LOCK_WAIT_SECONDS)
    with _hold_lock(address, lock, fault=f"another process has locked {address.shown}"):
        yield


@contextmanager
def hold_study_lock(address: DatabaseAddress, name: str) -> Iterator[None]:
    """Keep other processes of one study from opening its run in MLflow at the same time.

    Raises:
        UserError: Another process holds the lock for `_RUN_WAIT_SECONDS`.
        sqlalchemy.exc.SQLAlchemyError: The server does not answer.
    """
    digest = hashlib.sha256(name.encode()).digest()
    file = address.file and address.file.with_name(f"{address.file.stem}-{digest.hex()[:12]}.lock")
    lock = _StudyLock(file, int.from_bytes(digest[:8], "big", signed=True), _RUN_WAIT_SECONDS)
    with _hold_lock(address, lock, fault=f"another process opens the run of the sweep {name} in MLflow"):
        yield


class _StudyLock(NamedTuple):
    """A lock of a database.

    Attributes:
        file: Of a database in a file; None for a server.
        number: Of the lock in a server, of 64 bits.
        seconds: How long it is waited for.
    """

    file: Path | None
    number: int
    seconds: float


@contextmanager
def _hold_lock(address: DatabaseAddress, lock: _StudyLock, *, fault: str) -> Iterator[None]:
    with _hold_file_lock(lock.file, lock, fault) if lock.file else _hold_server_lock(address, lock, fault):
        yield


@contextmanager
def _hold_file_lock(file: Path, lock: _StudyLock, fault: str) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(file)
    try:
        held.acquire(timeout=lock.seconds)
    except Timeout:
        raise UserError(f"{fault}: end it, then run again") from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def _hold_server_lock(address: DatabaseAddress, lock: _StudyLock, fault: str) -> Iterator[None]:
    """Hold a lock in the server; it ends with the connection, also where the process is killed.

    A transaction that is open for long would be ended by some servers, and keep all from tidying up.
    """
    engine = sqlalchemy.create_engine(
        address.url, connect_args=_build_options(address), isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"SET lock_timeout = '{round(lock.seconds * 1000)}ms'"))
            try:
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({lock.number})"))
            except sqlalchemy.exc.OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _LOCK_TIMEOUT:
                    raise
                raise UserError(f"{fault}: end it, then run again") from None
            yield
    finally:
        engine.dispose()


@contextmanager
def reporting_database_errors(address: DatabaseAddress) -> Iterator[None]:
    """Raise what goes wrong with the database as one sentence.

    Raises:
        UserError: What is wrong and what to do.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{address.shown} needs the package {error.name}, which is not installed: "
            "run `pip install 'psycopg[binary]>=3.2'`"
        ) from error
    except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise UserError(_describe_error(address, error)) from error
    except RuntimeError as error:
        if "The runtime optuna version" not in str(error) or isinstance(error, UserError):
            raise
        raise UserError(
            f"{address.shown} is the database of another version of Optuna: set sweep.storage to another one"
        ) from error


def retry_while_unavailable(address: DatabaseAddress, operation: Callable[[], Result]) -> Result:
    """Run an operation, again after a pause where the database is locked or does not answer.

    Args:
        address: For the sentence of an error.
        operation: May run twice.

    Raises:
        UserError: The database did not answer for half a minute, or cannot be used.
    """
    for pause in _RETRY_PAUSES:
        try:
            return operation()
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            if not _is_passing(error):
                break
        time.sleep(pause)
    with reporting_database_errors(address):
        return operation()


def _connect(address: DatabaseAddress) -> RDBStorage:
    template = address.url.replace("{", "{{").replace("}", "}}")  # Optuna formats it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are experimental
        return RDBStorage(
            template,
            engine_kwargs={"connect_args": _build_options(address), "pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
        )


def _build_options(address: DatabaseAddress) -> dict[str, float]:
    if address.file:
        return {"timeout": _LOCK_WAIT_SECONDS}
    return {"connect_timeout": _SERVER_WAIT_SECONDS}


def _list_causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__) is not None:
        found.append(cause)
    return found


def _is_passing(error: BaseException) -> bool:
    """Return whether an error may pass: a lock, or a server that restarts."""
    causes = _list_causes(error)
    if any(isinstance(cause, sqlite3.Error) for cause in causes):
        return "locked" in str(causes[-1])
    return any(isinstance(cause, sqlalchemy.exc.OperationalError) for cause in causes)


def _describe_error(address: DatabaseAddress, error: BaseException) -> str:
    reason = hide_passwords(" ".join(str(_list_causes(error)[-1]).split()))[:200]
    sentence = describe_machine_error(error)
    if sentence is not None and address.file is not None:
        return f"the study in {address.shown} cannot be written: {sentence}"
    if address.file is not None:
        advice = (
            "wait until the other process is done"
            if "locked" in reason
            else "repair the file or move it away"
        )
        return f"the study in {address.shown} cannot be used ({reason}): {advice}, then run again"
    answers = not any(isinstance(cause, sqlalchemy.exc.OperationalError) for cause in _list_causes(error))
    fault = "cannot be used" if answers else "does not answer"
    return f"{address.shown} {fault} ({reason}): check the server and sweep.storage, then run again"
