"""Open the database of a study: sqlite in .finetrack, or a PostgreSQL server of a team."""

from __future__ import annotations

import logging
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import optuna
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
_SERVER_WAIT_SECONDS: Final = 10
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
    """Keep the other processes of this machine from claiming points of an sqlite database at the same time.

    A server needs no lock: its transactions do.

    Raises:
        UserError: Another process holds the lock.
    """
    if address.file is None:
        yield
        return
    try:
        lock = FileLock(address.file.with_suffix(".lock"), timeout=_LOCK_WAIT_SECONDS)
        with lock:
            yield
    except Timeout:
        raise UserError(f"another process has locked {address.shown}: end it, then run again") from None


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
    wait = _LOCK_WAIT_SECONDS if address.file else _SERVER_WAIT_SECONDS
    options = {"timeout": wait} if address.file else {"connect_timeout": wait}
    if address.file:
        address.file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are experimental
        return RDBStorage(
            template,
            engine_kwargs={"connect_args": options, "pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
        )


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
    return f"{address.shown} does not answer ({reason}): check the server and sweep.storage, then run again"
