"""The points of a run's curves, each of them once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.edges.tracking.journal import Message
from pipeline.edges.tracking.store import Store

MOST = 1000
"""What MLflow takes in one batch."""


def on_dataset(run: Any) -> dict[str, str]:
    """Name the run's dataset as a metric does that belongs to it."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return (
        {"dataset_name": inputs[-1].dataset.name, "dataset_digest": inputs[-1].dataset.digest}
        if inputs
        else {}
    )


class Points:
    """What is known of a run's points: a step of a curve is logged once, the first time.

    A value without a step (a result) may be logged again, by a second evaluation, and the newest is shown;
    the same message sent twice is known by its time.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        run = store.client.get_run(run_id)
        self._start: int = run.info.start_time
        self._there: set[str] = set(run.data.metrics)
        outputs = run.outputs.model_outputs if run.outputs else []
        self._result = {"model_id": outputs[-1].model_id} | on_dataset(run) if outputs else {}
        self._known: dict[str, set[tuple[int, int | None]]] = defaultdict(set)

    def send(self, messages: Sequence[Message]) -> None:
        """Log the points of several messages that MLflow does not have yet."""
        new = [metric for message in messages for metric in self._new(message)]
        for start in range(0, len(new), MOST):
            self.store.client.log_batch(self.run_id, metrics=new[start : start + MOST])

    def _new(self, message: Message) -> Iterator[Any]:
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
