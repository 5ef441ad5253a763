"""Which process runs which points, and which points of dead processes are free again."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy.exc
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from pipeline.runtime.process_start import HiddenProcessError, read_boot_id, read_process_start
from pipeline.sweep.study.database.connection import HEARTBEAT_SECONDS


class PointOwner(NamedTuple):
    """A process that runs points.

    Attributes:
        host: The machine.
        pid: The process.
        started: When the process started: its number may be another process's later.
        invocation: A random word of the open study.
    """

    host: str
    pid: int
    started: float
    invocation: str


def describe_this_process() -> PointOwner:
    """Return the owner of what this process runs."""
    pid = os.getpid()
    return PointOwner(_get_machine(), pid, read_process_start(pid) or 0.0, secrets.token_hex(4))


def is_gone(owner: PointOwner) -> bool | None:
    """Return whether the process of an owner has ended; None where this machine cannot tell."""
    if owner.host != _get_machine():
        return None
    try:
        return read_process_start(owner.pid) != owner.started
    except HiddenProcessError:
        return None


def is_abandoned(trial: FrozenTrial, own: PointOwner, *, stale: bool) -> bool:
    """Return whether nobody runs a RUNNING trial any more.

    Without the lock of the database, one that a process is about to claim counts as well.

    Args:
        trial: A trial that this object does not run.
        own: This process.
        stale: Whether its heartbeat is old.
    """
    owner = read_owner(trial.user_attrs.get("owner"))
    if owner is None:
        return True  # its process died in the middle of a claim
    if owner.invocation == own.invocation:
        return True
    gone = is_gone(owner)
    return stale if gone is None else gone


def read_owner(values: Iterable[Any] | None) -> PointOwner | None:
    """Return an owner from its JSON values; None for a trial without an owner."""
    return None if values is None else PointOwner(*values)


class HeartbeatThread(threading.Thread):
    """Say every few seconds in the database that this process lives, until it is stopped.

    Args:
        storage: The study's database.
    """

    def __init__(self, storage: BaseStorage) -> None:
        super().__init__(name="study heartbeat", daemon=True)
        self._storage = storage
        self._trials: set[int] = set()
        self._stopped = threading.Event()

    def watch(self, trial_id: int) -> None:
        """Say from now on that a trial is run."""
        self._trials.add(trial_id)
        self._record(trial_id)

    def forget(self, trial_id: int) -> None:
        """Say no more that a trial is run."""
        self._trials.discard(trial_id)

    def run(self) -> None:
        """Record the heartbeats."""
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            for trial_id in tuple(self._trials):
                self._record(trial_id)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self.is_alive():
            self.join(HEARTBEAT_SECONDS)

    def _record(self, trial_id: int) -> None:
        """Record one heartbeat; where the database does not answer, the next one will do."""
        record = getattr(self._storage, "record_heartbeat")  # noqa: B009 - not part of Optuna's BaseStorage
        with suppress(OptunaError, sqlalchemy.exc.SQLAlchemyError):
            record(trial_id)


def list_stale_trials(storage: BaseStorage, study_id: int) -> set[int]:
    """Return the trials of a study whose heartbeat is old."""
    find = getattr(storage, "_get_stale_trial_ids")  # noqa: B009 - Optuna has no public name for it
    return set(find(study_id))


def _get_machine() -> str:
    """Return a name of this machine and its start; containers on one host have different ones."""
    if boot := read_boot_id():
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()
