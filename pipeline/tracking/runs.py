"""Open, resume, attach to and close MLflow runs."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.tracking.delivery_report import DeliveryReport
from pipeline.tracking.outbox import RunOutbox, claim_newest_outbox, claim_waiting_outboxes, create_outbox
from pipeline.tracking.recovery import close_abandoned_stage, deliver_missed, identify_process
from pipeline.tracking.run_status import build_end_tags, choose_end_status
from pipeline.tracking.sanitize import sanitize_params, sanitize_tags
from pipeline.tracking.sender import MIN_UPLOAD_BYTES_PER_SECOND, OutboxSender, print_tracking_notice
from pipeline.tracking.session import RunSession
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.database import check_database, require_reachable_files
from pipeline.tracking.store.outage import DatabaseLockedError
from pipeline.tracking.store.run_tags import (
    EXPERIMENT_TAG,
    KEY_TAG,
    KIND_TAG,
    PARENT_TAG,
    PROCESS_TAG,
    STAGE_TAG_PREFIX,
    TRAINING_TAG,
)
from pipeline.tracking.sweep_origin import read_sweep_label, read_sweep_tags
from pipeline.tracking.system_metrics import SystemMetricsSampler
from pipeline.tracking.target import TrackingTarget, describe_unused_variables


class EvaluationIdentity(NamedTuple):
    """What tells one evaluation of a training from another.

    Attributes:
        key: A hash of everything that decides its result.
        params: The part of the configuration that decides it, beside the training's.
        tags: Of a run of its own; values that are None are left out. `WEIGHTS_TAG` names the weights: a
            run that is not known by its id is that of their training only if it has the same.
        dataset: Facts for `build_dataset_input` about the data that it is on; None: that of the training.
    """

    key: str
    params: Mapping[str, Any]
    tags: Mapping[str, Any]
    dataset: Mapping[str, Any] | None = None


@contextlib.contextmanager
def open_run(
    target: TrackingTarget, *, key: str, name: str, tags: Mapping[str, Any], resume: bool = False
) -> Iterator[RunSession]:
    """Open a run for a training, or with `resume` continue its run.

    Only a training with a checkpoint resumes. Its run may already be FINISHED: the checkpoint is deleted
    after the session, so that a kill between the two neither trains nor logs anything twice. Where MLflow has
    no run of this training any more, a new one is opened, with a notice.
    At the end of the block the run is FINISHED, after an exception FAILED, after Ctrl-C or SIGTERM KILLED.

    Args:
        target: The MLflow store and experiment.
        key: Identifies what is trained: runs of the same key, also of other clones, are attempts at the same.
        name: The name of a new run.
        tags: Tags of the run; values that are None are left out. `TRAINING_TAG` is the id of this attempt,
            which no other one has; without it one is drawn.
        resume: Continue the run of this id. One that an earlier version began has no id: it is continued if
            its messages still wait here.
    """
    outbox = _take_outbox(target, key, resume=resume)
    opening = {"kind": "resume" if resume else "open", "stage": "finetune", "name": name}
    own = {TRAINING_TAG: uuid.uuid4().hex, **_show_commit(tags), **tags}
    with _session(target, outbox, opening, own) as session:
        sampler = SystemMetricsSampler(session.log_system_metrics) if target.system_metrics else None
        try:
            yield session
        finally:
            if sampler:
                sampler.close()


@contextlib.contextmanager
def attach_run(
    target: TrackingTarget, *, key: str, run_id: str | None, evaluation: EvaluationIdentity | None = None
) -> Iterator[RunSession]:
    """Add to the run of a training, found by its id or else by its key and weights; or open a new run.

    From the first message the run is RUNNING, afterwards FINISHED again, with the duration of the training.
    A stage that fails or is stopped leaves the run FAILED or KILLED, until the stage succeeds.

    Args:
        target: The MLflow store and experiment.
        key: The key of the training.
        run_id: The run of the training; None where MLflow was away when it was trained.
        evaluation: The first evaluation of a training logs to its run, another one to a child run.

    Raises:
        UserError: The database cannot be used. A quick check reports this before the work of the stage.
    """
    check_database(target)
    outbox = _take_outbox(target, key, resume=True)
    close_abandoned_stage(outbox)  # a training of it may have been killed
    name = f"evaluate-{(evaluation.key if evaluation else key)[:6]}"
    opening: dict[str, Any] = {"kind": "attach", "stage": "evaluate", "name": name, "run_id": run_id}
    opening["label"] = read_sweep_label()
    if evaluation:
        new = {**_build_new_run_tags("evaluate"), **_show_commit(evaluation.tags), **evaluation.tags}
        params, tags, data = sanitize_params(evaluation.params), sanitize_tags(new), evaluation.dataset
        opening["evaluation"] = {"key": evaluation.key, "params": params, "tags": tags, "dataset": data}
    with _session(target, outbox, opening, {}) as session:
        yield session


@contextlib.contextmanager
def open_report_run(
    target: TrackingTarget, *, name: str, command: str, tags: Mapping[str, Any]
) -> Iterator[RunSession]:
    """Open a run that holds a report about other runs, such as a comparison.

    Args:
        target: The MLflow store and experiment.
        name: The name of the run.
        command: The command that makes the report.
        tags: Tags of the run; values that are None are left out.
    """
    outbox = create_outbox(target.uri, target.experiment, hashlib.sha256(uuid.uuid4().bytes).hexdigest())
    opening = {"kind": "open", "stage": command, "name": name}
    with _session(target, outbox, opening, {KIND_TAG: command, **tags}) as session:
        yield session


@contextlib.contextmanager
def open_parent_run(
    target: TrackingTarget,
    *,
    name: str,
    tags: Mapping[str, Any],
    key: str | None = None,
    resume: bool = False,
) -> Iterator[RunSession]:
    """Open a parent run: processes with its id in FINETRACK_PARENT_RUN open their runs below it.

    A run that goes on is RUNNING again. Steps that its curves have stay as they are, results without a step
    get their new value, and files are replaced.

    Args:
        target: The MLflow store and experiment.
        name: The name of a new run.
        tags: Tags of the run; values that are None are left out.
        key: Any text that identifies the sweep; None for one that never goes on. Processes that use it at
            once open the run one after another, and log steps of their own; of a result, a tag and the
            status, MLflow shows what the last one wrote.
        resume: Continue the newest run of the key, or open one if there is none.
    """
    key = hashlib.sha256((key or uuid.uuid4().hex).encode()).hexdigest()  # a text may have quotes in it
    outbox = _take_outbox(target, key, resume=resume)
    opening = {"kind": "resume" if resume else "open", "stage": "sweep", "name": name}
    with _session(target, outbox, opening, tags) as session:
        yield session


def prepare_store(target: TrackingTarget) -> None:
    """Load MLflow, and create or migrate the database, which takes seconds: the next run opens at once.

    A server is not asked.

    Raises:
        UserError: The database cannot be used.
    """
    _open_store(MlflowClientCache(target))


def send_missed(target: TrackingTarget) -> DeliveryReport:
    """Send messages that earlier commands could not send, and close runs of killed processes.

    Returns:
        What was sent, what MLflow lacks although it was sent, and what waits.

    Raises:
        UserError: The database cannot be used.
    """
    report = DeliveryReport()
    store = MlflowClientCache(target)
    _open_store(store)
    for _ in deliver_missed(store, report):
        pass
    for left in claim_waiting_outboxes(target.uri):
        left.release()
        report.waiting += 1
    return report


@contextlib.contextmanager
def _session(
    target: TrackingTarget, outbox: RunOutbox, opening: dict[str, Any], tags: Mapping[str, Any]
) -> Iterator[RunSession]:
    """Yield a session. One that adds to a run loads MLflow, which is slow, with its first message.

    A training opens the store at once, so that one that cannot be used is reported before the training. Later
    nothing raises: the results of a stage are worth more than its log, whose messages wait.
    """
    adds = opening["kind"] == "attach"
    with _release_after_error(outbox):
        _check_place(target, is_new=not adds)
        store = None if adds else MlflowClientCache(target)
        if store:
            _open_store(store)
        outbox.append(**opening, tags=sanitize_tags({**_build_origin_tags(outbox, opening), **tags}))
    session = RunSession(
        outbox, lambda: _start_sender(store or MlflowClientCache(target), outbox), timeout=target.timeout
    )
    end = {"stage": opening["stage"], "adds": adds, "status": "finished", "tags": {}}
    try:
        if store:
            session.start_sending()
        yield session
        end |= {"register": session.registered_name} if session.registered_name else {}
    except BaseException as error:
        end["status"] = choose_end_status(error)
        end["tags"] = sanitize_tags(build_end_tags(error))
        raise
    finally:
        with contextlib.suppress(OSError):  # the disk is full: the next command closes the run
            outbox.append("end", **end)
        session.close(2 * target.timeout + outbox.count_waiting_bytes() / MIN_UPLOAD_BYTES_PER_SECOND)


def _check_place(target: TrackingTarget, *, is_new: bool) -> None:
    """Require that a run's files can be stored; say of a new run which variables are not used."""
    require_reachable_files(target)
    if is_new and (sentence := describe_unused_variables(target)):
        print_tracking_notice(sentence)


@contextlib.contextmanager
def _release_after_error(outbox: RunOutbox) -> Iterator[None]:
    try:
        yield
    except BaseException:
        outbox.release()
        raise


def _open_store(store: MlflowClientCache) -> None:
    """Open the store. One that is locked is opened later, with the first message that can be sent.

    Raises:
        UserError: The database cannot be used.
    """
    with contextlib.suppress(DatabaseLockedError):
        _ = store.client


def _start_sender(store: MlflowClientCache, outbox: RunOutbox) -> OutboxSender:
    return OutboxSender(store, outbox, deliver_missed(store))


def _take_outbox(target: TrackingTarget, key: str, *, resume: bool) -> RunOutbox:
    """Claim the newest waiting outbox of this key, if its run goes on, or else create one."""
    place = (target.uri, target.experiment, key)
    return (claim_newest_outbox(*place) if resume else None) or create_outbox(*place)


def _build_origin_tags(outbox: RunOutbox, opening: Mapping[str, Any]) -> dict[str, Any]:
    """Return tags with the key, the process, and for a new run its origin."""
    stage = opening["stage"]
    now = {
        KEY_TAG: outbox.head["key"],
        PROCESS_TAG: identify_process(),
        STAGE_TAG_PREFIX + stage: "running",
    }
    return now if opening["kind"] == "attach" else now | _build_new_run_tags(stage)


def _build_new_run_tags(stage: str) -> dict[str, Any]:
    """Return the tags with the origin of a new run; None where it is unknown."""
    return {
        EXPERIMENT_TAG: os.environ.get("DVC_EXP_NAME") or None,
        PARENT_TAG: os.environ.get("FINETRACK_PARENT_RUN") or None,
        **read_sweep_tags(),
        "mlflow.user": _read_user(),
        "mlflow.source.name": f"python -m pipeline{'.' if stage == 'sweep' else ' '}{stage}",
        "mlflow.source.type": "LOCAL",
    }


def _show_commit(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tag by which MLflow's table shows the commit."""
    return {"mlflow.source.git.commit": tags.get("finetrack.git.commit")}


def _read_user() -> str | None:
    with contextlib.suppress(KeyError, OSError):  # the user of a container may have no name
        return getpass.getuser()
    return None
