"""Log metrics so that sending them twice changes nothing, and tie results to the model of their run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.tracking.dataset_input import get_dataset_reference
from pipeline.tracking.outbox import OutboxMessage
from pipeline.tracking.store.client import MlflowClientCache

MAX_METRICS_PER_BATCH: Final = 1000
"""MLflow's limit for one batch."""
TEST_PREFIX: Final = "test/"
"""Begins the names of the metrics of an evaluation."""


class LoggedPoints:
    """The metric points that MLflow has of a run: each step of a curve is logged once, the first time.

    A value without a step (a result) can be logged again, and MLflow shows the newest one. A result that is
    sent twice, or that is the same as the newest one, is logged once.
    """

    def __init__(self, store: MlflowClientCache, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        run = store.client.get_run(run_id)
        self._start: int = run.info.start_time
        self._unread: set[str] = set(run.data.metrics)
        self._newest: dict[str, float] = dict(run.data.metrics)
        outputs = run.outputs.model_outputs if run.outputs else []
        self._references = {"model_id": outputs[-1].model_id} | get_dataset_reference(run) if outputs else {}
        self._known: dict[str, set[tuple[int, int | None]]] = defaultdict(set)

    def send(self, messages: Sequence[OutboxMessage]) -> int:
        """Log the points of several messages that MLflow does not have yet, and return their number."""
        new = [metric for message in messages for metric in self._iterate_new(message)]
        for start in range(0, len(new), MAX_METRICS_PER_BATCH):
            self.store.client.log_batch(self.run_id, metrics=new[start : start + MAX_METRICS_PER_BATCH])
        return len(new)

    def _iterate_new(self, message: OutboxMessage) -> Iterator[Any]:
        from mlflow.entities import Metric

        step, time = message["step"], message["time"]
        if message.get("every"):
            step = max(0, (time - self._start) // message["every"])
        mark = (step or 0, None if step is not None else time)
        for name, value in message["values"].items():
            if step is None and _are_equal(self._newest.get(name), value):
                continue
            if mark not in self._read_points(name):
                self._known[name].add(mark)
                self._newest[name] = value
                yield Metric(name, value, time, step or 0, **(self._references if step is None else {}))

    def _read_points(self, name: str) -> set[tuple[int, int | None]]:
        """Return the points that MLflow has of a curve; ask for them once."""
        if name in self._unread:
            self._unread.discard(name)
            for point in self.store.client.get_metric_history(self.run_id, name):
                self._known[name] |= {(point.step, None), (point.step, point.timestamp)}
        return self._known[name]


def tie_results(
    store: MlflowClientCache, run: Any, model_id: str, values: Mapping[str, float], *, time: int
) -> None:
    """Tie results to the model: the given ones, and those of an evaluation that were sent before the model.

    A result that the run has already is tied as it is, so that the run does not show it twice.

    Args:
        store: Of the run.
        run: The run, from MLflow.
        model_id: The logged model.
        values: Results of the model.
        time: Of results that the run does not have yet, in milliseconds.
    """
    from mlflow.entities import Metric

    known = run.data.metrics
    tested = {name: value for name, value in known.items() if name.startswith(TEST_PREFIX)}
    references = {"model_id": model_id} | get_dataset_reference(run)
    found = dict(_read_newest(store, run.info.run_id, known.keys() & (values.keys() | tested.keys())))
    metrics = [
        Metric(name, value, *_get_place(found.get(name), value, time), **references)
        for name, value in {**tested, **values}.items()
    ]
    for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
        store.client.log_batch(run.info.run_id, metrics=metrics[start : start + MAX_METRICS_PER_BATCH])


def _read_newest(store: MlflowClientCache, run_id: str, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the newest point of each metric."""
    for name in sorted(names):
        history = store.client.get_metric_history(run_id, name)
        yield name, max(history, key=lambda point: (point.step, point.timestamp))


def _get_place(point: Any, value: float, time: int) -> tuple[int, int]:
    """Return time and step of the point with this value, or of a new one."""
    return (point.timestamp, point.step) if point and _are_equal(point.value, value) else (time, 0)


def _are_equal(known: float | None, value: float) -> bool:
    return known is not None and (known == value or (math.isnan(known) and math.isnan(value)))
