"""What earlier commands left behind: messages that were not sent, runs whose process is gone."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pipeline.tracking import outbox
from pipeline.tracking.client import MlflowClientCache, is_outage
from pipeline.tracking.mlflow_writer import OPENING, PROCESS, REASON, STAGE, MlflowWriter, end
from pipeline.tracking.outbox import RunOutbox
from pipeline.tracking.sender import send_some, tell

GONE = "the process ended without a word (killed, or the machine went down)"


def deliver_missed(store: MlflowClientCache) -> Generator[None]:
    """Send what waits from commands that have ended, a message per step; an outage ends it for this time."""
    try:
        for left in outbox.waiting(store.target.uri):
            yield from _deliver(_store_of(left, store), left)
        yield from _close_gone(store)
    except Exception as error:
        if not is_outage(error):  # an outage is told by the sender, for its own messages too
            tell(f"messages of an earlier command could not be sent to MLflow: {error}")


def _store_of(left: RunOutbox, store: MlflowClientCache) -> MlflowClientCache:
    experiment = left.head["experiment"]
    if experiment == store.target.experiment:
        return store
    return MlflowClientCache(replace(store.target, experiment=experiment))


def close(left: RunOutbox) -> None:
    """End a journal whose process did not: what it told last is the last sign of life."""
    messages = left.messages()
    if messages and messages[-1]["kind"] != "end":
        opening = next(message for message in reversed(messages) if message["kind"] in OPENING)
        facts = {"stage": opening["stage"], "adds": opening["kind"] == "attach", "time": messages[-1]["time"]}
        left.append("end", status="killed", tags={REASON: GONE}, **facts)


def _deliver(store: MlflowClientCache, left: RunOutbox) -> Iterator[None]:
    try:
        close(left)
        delivery = MlflowWriter(store, left)
        while pending := left.pending():
            send_some(delivery, pending)
            yield
        left.discard()
    finally:
        left.release()


def _close_gone(store: MlflowClientCache) -> Iterator[None]:
    """Close the runs that a process of this machine left, where not even its messages are here any more."""
    for run in store.search(f"tags.`{PROCESS}` LIKE '{machine()}%'", limit=1000):
        if not is_gone(run.data.tags[PROCESS]):
            continue
        message = {"time": _last_sign(store, run), "adds": True, "status": "killed"}
        running = [
            name for name, value in run.data.tags.items() if name.startswith(STAGE) and value == "running"
        ]
        for name in running:
            stage = {"stage": name.removeprefix(STAGE), "tags": {REASON: GONE}}
            end(store, run.info.run_id, message | stage)
            yield


def _last_sign(store: MlflowClientCache, run: Any) -> int:
    histories = (store.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics)
    times = (int(point.timestamp) for history in histories for point in history)
    return max(times, default=int(run.info.start_time))


def identity() -> str:
    """Name this process: machine, process namespace (containers), number, and the second of its start."""
    return f"{machine()}{os.getpid()}:{_start(os.getpid())}"


def machine() -> str:
    """Name what process numbers are valid in; two containers of one machine do not share them."""
    namespace = "0"
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    return f"{platform.node()}:{namespace}:"


def is_gone(name: str) -> bool:
    """Say whether the process of that name, on this machine, has ended; elsewhere nobody can tell."""
    if not name.startswith(machine()):
        return False
    with contextlib.suppress(ValueError):
        number, start = (int(part) for part in name.removeprefix(machine()).split(":"))
        now = _start(number)
        return now is None or abs(now - start) > 2  # the clock may have been set
    return False


def _start(number: int) -> int | None:
    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return None
