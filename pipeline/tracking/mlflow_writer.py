"""Write the messages about one run to MLflow, so that sending one twice changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.tracking.client import MlflowClientCache
from pipeline.tracking.dataset_input import build_dataset_input, get_dataset_reference
from pipeline.tracking.logged_model import upload_model
from pipeline.tracking.outbox import OutboxMessage, RunOutbox

STAGE_TAG_PREFIX = "finetrack.stage."
PROCESS_TAG = "finetrack.process"
OUTBOX_TAG = "finetrack.journal"
"""Tags that name the process and the outbox of a running stage; removed at its end."""
REASON_TAG = "finetrack.reason"
"""Tag with the reason why the run failed or was stopped; removed when it finishes later."""
STATUS_WORST_FIRST = ("failed", "killed", "finished")
OPENING_KINDS = frozenset({"open", "resume", "attach"})


class MlflowWriter:
    """Writes the messages of one outbox to MLflow; `apply` raises MLflow's own errors."""

    def __init__(self, store: MlflowClientCache, outbox: RunOutbox) -> None:
        self.store = store
        self.outbox = outbox
        self._points: LoggedPoints | None = None

    @property
    def run_id(self) -> str | None:
        """The run's id; None until MLflow created the run."""
        run_id: str | None = self.outbox.state["run_id"]
        return run_id

    def apply(self, messages: Sequence[OutboxMessage]) -> None:
        """Send messages of one kind: several of metrics in one call, any other one alone."""
        kind = messages[0]["kind"]
        if kind in OPENING_KINDS:
            self._open_run(messages[0])
        elif self.run_id is None:
            raise ValueError("a message without a run")
        elif kind == "metrics":
            self._get_points().send(messages)
        else:
            getattr(self, f"_log_{kind}")(messages[0], self.run_id)

    def forget_points(self) -> None:
        """Forget which points MLflow has: the last call may or may not have arrived."""
        self._points = None

    def _get_points(self) -> LoggedPoints:
        if self._points is None:
            self._points = LoggedPoints(self.store, str(self.run_id))
        return self._points

    def _open_run(self, message: OutboxMessage) -> None:
        tags = {**message["tags"], OUTBOX_TAG: self.outbox.id}
        run_id = (
            self._check_active(self.run_id)
            or self._check_active(message.get("run_id"))
            or self._find_run(message)
        )
        if run_id is None:
            run = self.store.client.create_run(
                self.store.experiment, start_time=message["time"], tags=tags, run_name=message["name"]
            )
            run_id = run.info.run_id
        else:
            self._log_tags({"values": tags}, run_id)
            self.store.client.update_run(run_id, status="RUNNING")
        self.outbox.state["run_id"] = run_id
        self.outbox.save_state()

    def _check_active(self, run_id: str | None) -> str | None:
        """Return the id if the run exists and was not deleted."""
        from mlflow.exceptions import MlflowException

        try:
            run = self.store.client.get_run(run_id) if run_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run_id if run and run.info.lifecycle_stage == "active" else None

    def _find_run(self, message: OutboxMessage) -> str | None:
        """Find the run that this outbox opened before, or that it should continue."""
        conditions = [f"tags.`{OUTBOX_TAG}` = '{self.outbox.id}'"]
        if message["kind"] != "open":
            conditions.append(f"tags.`finetrack.key` = '{self.outbox.head['key']}'")
        found = (run for condition in conditions for run in self.store.search_runs(condition))
        return next((str(run.info.run_id) for run in found), None)

    def _log_params(self, message: OutboxMessage, run_id: str) -> None:
        """Log parameters. MLflow never changes a parameter: a new value for a known one becomes a tag."""
        from mlflow.entities import Param

        known = self.store.client.get_run(run_id).data.params
        new = [Param(name, value) for name, value in message["values"].items() if name not in known]
        for start in range(0, len(new), 100):
            self.store.client.log_batch(run_id, params=new[start : start + 100])
        changed = {n: value for n, value in message["values"].items() if known.get(n, value) != value}
        self._log_tags({"values": changed}, run_id)

    def _log_tags(self, message: OutboxMessage, run_id: str) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(name, value) for name, value in message["values"].items()]
        for start in range(0, len(tags), 100):
            self.store.client.log_batch(run_id, tags=tags[start : start + 100])

    def _log_artifact(self, message: OutboxMessage, run_id: str) -> None:
        path = self.outbox.folder / message["file"]
        if path.is_dir():
            folder = "/".join(part for part in (message["folder"], path.name) if part)
            self.store.client.log_artifacts(run_id, str(path), folder)
        else:
            self.store.client.log_artifact(run_id, str(path), message["folder"] or None)

    def _log_dataset(self, message: OutboxMessage, run_id: str) -> None:
        self.store.client.log_inputs(run_id, datasets=[build_dataset_input(message["facts"])])

    def _log_model(self, message: OutboxMessage, run_id: str) -> None:
        upload_model(self.store, run_id, message, self.outbox.folder / message["file"])

    def _log_end(self, message: OutboxMessage, run_id: str) -> None:
        end_stage(self.store, run_id, message)


def end_stage(store: MlflowClientCache, run_id: str, message: OutboxMessage) -> None:
    """End one stage of a run; the status of the run is that of its worst stage.

    A stage that only adds to a run keeps the run's end time, which the training set.
    """
    run = store.client.get_run(run_id)
    stages = {name: value for name, value in run.data.tags.items() if name.startswith(STAGE_TAG_PREFIX)}
    stages[STAGE_TAG_PREFIX + message["stage"]] = message["status"]
    for name, value in {STAGE_TAG_PREFIX + message["stage"]: message["status"], **message["tags"]}.items():
        store.client.set_tag(run_id, name, value)
    worst = next(status for status in STATUS_WORST_FIRST if status in stages.values())
    time = run.info.end_time if message["adds"] and run.info.end_time else message["time"]
    obsolete = {PROCESS_TAG, OUTBOX_TAG} | ({REASON_TAG} if worst == "finished" else set())
    for name in obsolete & run.data.tags.keys():
        store.client.delete_tag(run_id, name)
    store.client.set_terminated(run_id, worst.upper(), end_time=time)


MAX_METRICS_PER_BATCH = 1000
"""MLflow's limit for one batch."""


class LoggedPoints:
    """The metric points that MLflow has of a run: each step of a curve is logged once, the first time.

    A value without a step (a result) can be logged again, by a second evaluation, and MLflow shows the newest
    one. A result that is sent twice has the same time, and is logged once.
    """

    def __init__(self, store: MlflowClientCache, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        run = store.client.get_run(run_id)
        self._start: int = run.info.start_time
        self._unread: set[str] = set(run.data.metrics)
        outputs = run.outputs.model_outputs if run.outputs else []
        self._references = {"model_id": outputs[-1].model_id} | get_dataset_reference(run) if outputs else {}
        self._known: dict[str, set[tuple[int, int | None]]] = defaultdict(set)

    def send(self, messages: Sequence[OutboxMessage]) -> None:
        """Log the points of several messages that MLflow does not have yet."""
        new = [metric for message in messages for metric in self._iterate_new(message)]
        for start in range(0, len(new), MAX_METRICS_PER_BATCH):
            self.store.client.log_batch(self.run_id, metrics=new[start : start + MAX_METRICS_PER_BATCH])

    def _iterate_new(self, message: OutboxMessage) -> Iterator[Any]:
        from mlflow.entities import Metric

        step, time = message["step"], message["time"]
        if message.get("every"):
            step = max(0, (time - self._start) // message["every"])
        mark = (step or 0, None if step is not None else time)
        for name, value in message["values"].items():
            if mark not in self._read_points(name):
                self._known[name].add(mark)
                yield Metric(name, value, time, step or 0, **(self._references if step is None else {}))

    def _read_points(self, name: str) -> set[tuple[int, int | None]]:
        """Return the points that MLflow has of a curve; ask for them once."""
        if name in self._unread:
            self._unread.discard(name)
            for point in self.store.client.get_metric_history(self.run_id, name):
                self._known[name] |= {(point.step, None), (point.step, point.timestamp)}
        return self._known[name]
