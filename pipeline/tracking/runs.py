"""Open, take up, add to, find and close runs: everything that decides about a run's life."""

from __future__ import annotations

import contextlib
import getpass
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.tracking import outbox, recovery, sanitize
from pipeline.tracking.client import MlflowClientCache, refuse_unusable
from pipeline.tracking.mlflow_writer import PROCESS, REASON, STAGE
from pipeline.tracking.outbox import RunOutbox
from pipeline.tracking.recovery import deliver_missed
from pipeline.tracking.sender import OutboxSender
from pipeline.tracking.session import RunSession
from pipeline.tracking.system_metrics import SystemMetricsSampler
from pipeline.tracking.target import TrackingTarget

BYTES_PER_SECOND = 1_000_000
"""The slowest upload that the end of a stage waits for."""


@contextlib.contextmanager
def open_run(
    target: TrackingTarget, *, key: str, name: str, tags: Mapping[str, Any], resume: bool = False
) -> Iterator[RunSession]:
    """Open the run of an iteration, or with `resume` take up the newest one of this key.

    Only a training with a checkpoint resumes. Its run may be FINISHED all the same: the checkpoint outlives
    the session, so that a kill between the two neither trains nor logs anything twice.
    Leaving the block ends the run as FINISHED, by an exception as FAILED, by Ctrl-C or SIGTERM as KILLED.
    """
    own = (_waiting(target, key) if resume else None) or outbox.create(target.uri, target.experiment, key)
    opening = {"kind": "resume" if resume else "open", "stage": "finetune", "name": name}
    shown = {"mlflow.source.git.commit": tags.get("finetrack.git.commit")}
    with _session(target, own, opening, {**shown, **tags}) as session:
        sampler = SystemMetricsSampler(session.load) if target.system_metrics else None
        try:
            yield session
        finally:
            if sampler:
                sampler.close()


@contextlib.contextmanager
def attach(
    target: TrackingTarget, *, key: str, run_id: str | None, name: str | None = None, stage: str = "evaluate"
) -> Iterator[RunSession]:
    """Add to the run of an iteration, by its id or else by its key; where there is none, one is opened.

    From the first word on the run is RUNNING; afterwards it is FINISHED again and its duration that of the
    training. A stage that fails or is stopped makes the run FAILED or KILLED until it is done again.

    Raises:
        Refused: The database cannot be used: as far as it shows at a glance, that is told before the work.
    """
    refuse_unusable(target)
    own = _left(target, key) or outbox.create(target.uri, target.experiment, key)
    opening = {"kind": "attach", "stage": stage, "name": name or f"{stage} {key[:8]}", "run_id": run_id}
    with _session(target, own, opening, {}) as session:
        yield session


@contextlib.contextmanager
def parent(target: TrackingTarget, *, name: str, tags: Mapping[str, Any]) -> Iterator[RunSession]:
    """Open a run for others to hang under: give its id to their processes as FINETRACK_PARENT_RUN."""
    key = uuid.uuid4().hex
    own = outbox.create(target.uri, target.experiment, key)
    with _session(target, own, {"kind": "open", "stage": "sweep", "name": name}, tags) as session:
        yield session


def send_missed(target: TrackingTarget) -> int:
    """Send what earlier commands could not send, and close the runs of those that were killed.

    Returns:
        The number of runs that MLflow still misses something of, since it is away.
    """
    for _ in deliver_missed(MlflowClientCache(target)):
        pass
    waiting = 0
    for left in outbox.waiting(target.uri):
        left.release()
        waiting += 1
    return waiting


@contextlib.contextmanager
def _session(
    target: TrackingTarget, own: RunOutbox, opening: dict[str, Any], tags: Mapping[str, Any]
) -> Iterator[RunSession]:
    """Give a session; for one that adds to a run MLflow, which is slow to load, is loaded by its first word.

    Before a training it is loaded at once: a store that cannot be used is told before, not after it.
    """
    adds = opening["kind"] == "attach"
    store = None if adds else _store(target, own)
    own.append(**opening, tags=sanitize.tags({**_origin(own, opening), **tags}))
    session = RunSession(own, lambda: _sender(store or _store(target, own), own), patience=target.timeout)
    end = {"stage": opening["stage"], "adds": adds, "status": "finished", "tags": {}}
    try:
        if store:
            session.begin()
        yield session
    except BaseException as error:
        end["status"] = "killed" if isinstance(error, KeyboardInterrupt) else "failed"
        end["tags"] = sanitize.tags({REASON: _reason(error)})
        raise
    finally:
        with contextlib.suppress(OSError):  # a full disk: the next command closes the run
            own.append("end", **end)
        session.close(2 * target.timeout + own.weight() / BYTES_PER_SECOND)


def _store(target: TrackingTarget, own: RunOutbox) -> MlflowClientCache:
    try:
        return MlflowClientCache(target)
    except BaseException:
        own.release()
        raise


def _sender(store: MlflowClientCache, own: RunOutbox) -> OutboxSender:
    return OutboxSender(store, own, deliver_missed(store))


def _left(target: TrackingTarget, key: str) -> RunOutbox | None:
    """Take up what waits of the run of this key; a stage that did not end in it is closed first."""
    own = _waiting(target, key)
    if own:
        recovery.close(own)
    return own


def _waiting(target: TrackingTarget, key: str) -> RunOutbox | None:
    """Take up what waits of the newest run of this key; a journal without a word is of none."""
    newest: RunOutbox | None = None
    for own in outbox.waiting(target.uri, target.experiment, key):
        other, newest = (newest, own) if own.messages() else (own, newest)
        if other:
            other.release()
    return newest


def _origin(own: RunOutbox, opening: Mapping[str, Any]) -> dict[str, Any]:
    """Tags that say which run this is and who is at it; a stage that adds to a run leaves its origin."""
    stage = opening["stage"]
    now = {"finetrack.key": own.head["key"], PROCESS: recovery.identity(), STAGE + stage: "running"}
    if opening["kind"] == "attach":
        return now
    return now | {
        "finetrack.dvc.exp": os.environ.get("DVC_EXP_NAME") or None,
        "mlflow.parentRunId": os.environ.get("FINETRACK_PARENT_RUN") or None,
        "mlflow.user": _user(),
        "mlflow.source.name": f"python -m pipeline{'.' if stage == 'sweep' else ' '}{stage}",
        "mlflow.source.type": "LOCAL",
    }


def _user() -> str | None:
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        return getpass.getuser()
    return None


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500].removesuffix(":")
