"""Finish what earlier commands left: send their unsent messages, close runs of killed processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pipeline.runtime.process_start import HiddenProcessError, read_boot_id, read_process_start
from pipeline.tracking.delivery_report import DeliveryReport
from pipeline.tracking.outbox import RunOutbox, claim_waiting_outboxes
from pipeline.tracking.sender import (
    ANSWER_SECONDS,
    estimate_send_seconds,
    print_tracking_notice,
    send_next_messages,
)
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.journal_comparison import find_missing
from pipeline.tracking.store.mlflow_writer import OPENING_KINDS, MlflowWriter
from pipeline.tracking.store.outage import (
    StoreUnavailableError,
    describe_failure,
    is_outage,
)
from pipeline.tracking.store.run_changes import end_stage
from pipeline.tracking.store.run_tags import PROCESS_TAG, REASON_TAG, STAGE_TAG_PREFIX

PROCESS_GONE_REASON = "the process ended unexpectedly (killed, or the machine went down)"


def deliver_missed(store: MlflowClientCache, report: DeliveryReport | None = None) -> Generator[float]:
    """Send the messages of commands that have ended, one per step of the generator.

    An outage stops it. An experiment that was deleted, or a run that is refused, does not stop the others.

    Args:
        store: The MLflow store.
        report: Is filled; with one, what was sent is compared with what MLflow has.

    Yields:
        How long the next message may take, in seconds.
    """
    told = report or DeliveryReport()
    try:
        for outbox in claim_waiting_outboxes(store.target.uri):
            try:
                yield from _deliver(_select_store(outbox, store), outbox, told, compare=report is not None)
            except Exception as error:
                told.add_failure(error)
                if is_outage(error) and not isinstance(error, StoreUnavailableError):
                    return
                _print_failure(error, report)
        yield from _close_killed_runs(store)
    except Exception as error:
        told.add_failure(error)
        if not is_outage(error):  # the sender reports an outage itself
            _print_failure(error, report)


def _print_failure(error: Exception, report: DeliveryReport | None) -> None:
    """Print why messages could not be sent, where no report says it."""
    if report is None:
        reason = describe_failure(error)
        print_tracking_notice(f"messages of an earlier command could not be sent to MLflow: {reason}")


def _select_store(outbox: RunOutbox, store: MlflowClientCache) -> MlflowClientCache:
    experiment = outbox.head["experiment"]
    if experiment == store.target.experiment:
        return store
    return MlflowClientCache(replace(store.target, experiment=experiment))


def close_abandoned_stage(outbox: RunOutbox) -> None:
    """Add an `end` message where the process was killed; the time of its last message is the end time."""
    messages = outbox.read_messages()
    if messages and messages[-1]["kind"] != "end":
        opening = next(message for message in reversed(messages) if message["kind"] in OPENING_KINDS)
        facts = {"stage": opening["stage"], "adds": opening["kind"] == "attach", "time": messages[-1]["time"]}
        outbox.append("end", status="killed", tags={REASON_TAG: PROCESS_GONE_REASON}, **facts)


def _deliver(
    store: MlflowClientCache, outbox: RunOutbox, report: DeliveryReport, *, compare: bool
) -> Iterator[float]:
    writer = MlflowWriter(store, outbox)
    try:
        close_abandoned_stage(outbox)
        while pending := outbox.read_pending():
            yield estimate_send_seconds(outbox, pending[0][1])
            send_next_messages(writer, pending)
        if compare:
            report.missing += find_missing(writer)
        outbox.delete()
    finally:
        report.sent += writer.sent
        outbox.release()


def _close_killed_runs(store: MlflowClientCache) -> Iterator[float]:
    """Close runs of killed processes of this machine whose outbox is gone."""
    for run in store.search_runs(f"tags.`{PROCESS_TAG}` LIKE '{identify_machine()}%'", limit=1000):
        if not is_process_gone(run.data.tags[PROCESS_TAG]):
            continue
        message = {"time": _find_last_time(store, run), "status": "killed"}
        running = [
            name
            for name, value in run.data.tags.items()
            if name.startswith(STAGE_TAG_PREFIX) and value == "running"
        ]
        for name in running:
            stage = {"stage": name.removeprefix(STAGE_TAG_PREFIX), "tags": {REASON_TAG: PROCESS_GONE_REASON}}
            stage["adds"] = stage["stage"] == "evaluate"
            yield ANSWER_SECONDS
            end_stage(store, run.info.run_id, message | stage)


def _find_last_time(store: MlflowClientCache, run: Any) -> int:
    """Return the time of the newest metric, in milliseconds."""
    histories = (store.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
    times = (int(point.timestamp) for history in histories for point in history)
    return max(times, default=int(run.info.start_time))


def identify_process() -> str:
    """Return an id of this process: machine, PID namespace (containers), PID, and start time in seconds.

    Where the system tells them, the machine's start and the process's start since then follow: they stay
    where the clock is set.
    """
    pid, boot = os.getpid(), read_boot_id()
    since_boot = f":{boot}:{read_process_start(pid) or 0:.0f}" if boot else ""
    return f"{identify_machine()}{pid}:{psutil.Process(pid).create_time():.0f}{since_boot}"


def identify_machine() -> str:
    """Return an id of what PIDs are valid in: the machine, and the PID namespace of a container."""
    namespace = "0"
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    machine = b""  # cloned machines have one name, and outside of containers one namespace
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_bytes()
    return f"{platform.node()}:{hashlib.sha256(machine).hexdigest()[:8]}.{namespace}:"


def is_process_gone(process_id: str) -> bool:
    """Check whether a process of this machine has ended; false for other machines, which cannot be asked.

    It is false, too, where the system hides the process that has its number now.
    """
    if not process_id.startswith(identify_machine()):
        return False
    with contextlib.suppress(ValueError, HiddenProcessError):
        number, start, *since_boot = process_id.removeprefix(identify_machine()).split(":")
        now = read_process_start(int(number))
        if now is None:
            return True
        if since_boot:
            return since_boot != [read_boot_id(), f"{now:.0f}"]
        with contextlib.suppress(psutil.Error):  # the clock may have been set
            return abs(psutil.Process(int(number)).create_time() - int(start)) > 2
    return False
