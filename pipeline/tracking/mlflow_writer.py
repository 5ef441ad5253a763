"""Bring the messages about one run to MLflow, so that sending one twice does no harm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.tracking import dataset_input, logged_model
from pipeline.tracking.client import MlflowClientCache
from pipeline.tracking.dataset_input import on_dataset
from pipeline.tracking.outbox import OutboxMessage, RunOutbox

STAGE = "finetrack.stage."
PROCESS = "finetrack.process"
JOURNAL = "finetrack.journal"
"""Who is at the run, and from where; gone when the stage has ended."""
REASON = "finetrack.reason"
"""Why the run failed or was stopped; gone when it finished after all."""
WORST = ("failed", "killed", "finished")
OPENING = frozenset({"open", "resume", "attach"})


class MlflowWriter:
    """One journal's way to MLflow; `apply` raises whatever MLflow raises."""

    def __init__(self, store: MlflowClientCache, journal: RunOutbox) -> None:
        self.store = store
        self.journal = journal
        self._points: LoggedPoints | None = None

    @property
    def run_id(self) -> str | None:
        """The run's id, once MLflow gave one."""
        run_id: str | None = self.journal.state["run_id"]
        return run_id

    def apply(self, messages: Sequence[OutboxMessage]) -> None:
        """Send messages: several of metrics together, any other alone."""
        kind = messages[0]["kind"]
        if kind in OPENING:
            self._open(messages[0])
        elif self.run_id is None:
            raise ValueError("a message without a run")
        elif kind == "metrics":
            self._metrics().send(messages)
        else:
            getattr(self, f"_{kind}")(messages[0], self.run_id)

    def doubt(self) -> None:
        """Forget what is known of the run: the last call may or may not have arrived."""
        self._points = None

    def _metrics(self) -> LoggedPoints:
        if self._points is None:
            self._points = LoggedPoints(self.store, str(self.run_id))
        return self._points

    def _open(self, message: OutboxMessage) -> None:
        tags = {**message["tags"], JOURNAL: self.journal.id}
        run_id = self._alive(self.run_id) or self._alive(message.get("run_id")) or self._find(message)
        if run_id is None:
            run = self.store.client.create_run(
                self.store.experiment, start_time=message["time"], tags=tags, run_name=message["name"]
            )
            run_id = run.info.run_id
        else:
            self._tags({"values": tags}, run_id)
            self.store.client.update_run(run_id, status="RUNNING")
        self.journal.state["run_id"] = run_id
        self.journal.save()

    def _alive(self, run_id: str | None) -> str | None:
        """Return the id if there is such a run, and nobody deleted it."""
        from mlflow.exceptions import MlflowException

        try:
            run = self.store.client.get_run(run_id) if run_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run_id if run and run.info.lifecycle_stage == "active" else None

    def _find(self, message: OutboxMessage) -> str | None:
        """Look for the run that this journal opened before, or that it is to go on with."""
        conditions = [f"tags.`{JOURNAL}` = '{self.journal.id}'"]
        if message["kind"] != "open":
            conditions.append(f"tags.`finetrack.key` = '{self.journal.head['key']}'")
        found = (run for condition in conditions for run in self.store.search(condition))
        return next((str(run.info.run_id) for run in found), None)

    def _params(self, message: OutboxMessage, run_id: str) -> None:
        """Log parameters; one that MLflow has with another value, and never changes, becomes a tag."""
        from mlflow.entities import Param

        known = self.store.client.get_run(run_id).data.params
        new = [Param(name, value) for name, value in message["values"].items() if name not in known]
        for start in range(0, len(new), 100):
            self.store.client.log_batch(run_id, params=new[start : start + 100])
        changed = {n: value for n, value in message["values"].items() if known.get(n, value) != value}
        self._tags({"values": changed}, run_id)

    def _tags(self, message: OutboxMessage, run_id: str) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(name, value) for name, value in message["values"].items()]
        for start in range(0, len(tags), 100):
            self.store.client.log_batch(run_id, tags=tags[start : start + 100])

    def _artifact(self, message: OutboxMessage, run_id: str) -> None:
        path = self.journal.folder / message["file"]
        if path.is_dir():
            folder = "/".join(part for part in (message["folder"], path.name) if part)
            self.store.client.log_artifacts(run_id, str(path), folder)
        else:
            self.store.client.log_artifact(run_id, str(path), message["folder"] or None)

    def _dataset(self, message: OutboxMessage, run_id: str) -> None:
        self.store.client.log_inputs(run_id, datasets=[dataset_input.entity(message["facts"])])

    def _model(self, message: OutboxMessage, run_id: str) -> None:
        logged_model.upload(self.store, run_id, message, self.journal.folder / message["file"])

    def _end(self, message: OutboxMessage, run_id: str) -> None:
        end(self.store, run_id, message)


def end(store: MlflowClientCache, run_id: str, message: OutboxMessage) -> None:
    """Close one stage of a run; the run's status is that of its worst stage.

    A stage that only adds to a run leaves the run's end time where the training put it.
    """
    run = store.client.get_run(run_id)
    stages = {name: value for name, value in run.data.tags.items() if name.startswith(STAGE)}
    stages[STAGE + message["stage"]] = message["status"]
    for name, value in {STAGE + message["stage"]: message["status"], **message["tags"]}.items():
        store.client.set_tag(run_id, name, value)
    worst = next(status for status in WORST if status in stages.values())
    time = run.info.end_time if message["adds"] and run.info.end_time else message["time"]
    served = {PROCESS, JOURNAL} | ({REASON} if worst == "finished" else set())
    for name in served & run.data.tags.keys():
        store.client.delete_tag(run_id, name)
    store.client.set_terminated(run_id, worst.upper(), end_time=time)


MOST = 1000
"""What MLflow takes in one batch."""


class LoggedPoints:
    """What is known of a run's points: a step of a curve is logged once, the first time.

    A value without a step (a result) may be logged again, by a second evaluation, and the newest is shown;
    the same message sent twice is known by its time.
    """

    def __init__(self, store: MlflowClientCache, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        run = store.client.get_run(run_id)
        self._start: int = run.info.start_time
        self._there: set[str] = set(run.data.metrics)
        outputs = run.outputs.model_outputs if run.outputs else []
        self._result = {"model_id": outputs[-1].model_id} | on_dataset(run) if outputs else {}
        self._known: dict[str, set[tuple[int, int | None]]] = defaultdict(set)

    def send(self, messages: Sequence[OutboxMessage]) -> None:
        """Log the points of several messages that MLflow does not have yet."""
        new = [metric for message in messages for metric in self._new(message)]
        for start in range(0, len(new), MOST):
            self.store.client.log_batch(self.run_id, metrics=new[start : start + MOST])

    def _new(self, message: OutboxMessage) -> Iterator[Any]:
        from mlflow.entities import Metric

        step, time = message["step"], message["time"]
        if message.get("every"):
            step = max(0, (time - self._start) // message["every"])
        mark = (step or 0, None if step is not None else time)
        for name, value in message["values"].items():
            if mark not in self._points(name):
                self._known[name].add(mark)
                yield Metric(name, value, time, step or 0, **(self._result if step is None else {}))

    def _points(self, name: str) -> set[tuple[int, int | None]]:
        """Ask MLflow, once, for the points that it has of a curve."""
        if name in self._there:
            self._there.discard(name)
            for point in self.store.client.get_metric_history(self.run_id, name):
                self._known[name] |= {(point.step, None), (point.step, point.timestamp)}
        return self._known[name]
