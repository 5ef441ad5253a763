"""Read runs of the experiment from MLflow: by id, name or condition, all of them page by page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.runtime.gc_pause import pause_gc
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.outage import StoreUnavailableError, describe_failure, is_outage
from pipeline.tracking.target import TrackingTarget

RUNS_PER_PAGE: Final = 1000
"""Runs of one answer. A server needs a second for them, which is below every timeout."""


class TrackingUnavailableError(UserError):
    """MLflow's store cannot be read now."""


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow has it.

    Args:
        run_id: Its id.
        name: Its name.
        status: Such as FINISHED.
        started: In seconds since 1970.
        ended: In seconds since 1970; None while it runs.
        params: Flat parameters, as text.
        metrics: The newest value of each.
        tags: All tags.
        dataset: The name of its dataset; None if it has none.
        classes: The class names of its dataset; empty if it has none.
        model_id: The logged model that it made; None if it made none.
    """

    run_id: str
    name: str
    status: str
    started: float
    ended: float | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None
    classes: tuple[str, ...] = ()
    model_id: str | None = None


class RunReader:
    """Reads runs of one experiment. It creates neither a database nor an experiment.

    Every method raises `TrackingUnavailableError` if the store does not answer.
    """

    def __init__(self, target: TrackingTarget) -> None:
        self.target = target

    @cached_property
    def store(self) -> MlflowClientCache:
        """The store, whose methods raise MLflow's own errors."""
        return MlflowClientCache(self.target)

    @property
    def is_empty(self) -> bool:
        """Whether there is no database yet."""
        return self.target.database is not None and not self.target.database.exists()

    @cached_property
    def experiment_id(self) -> str | None:
        """The id of the experiment; None if there is none yet."""
        if self.is_empty:
            return None
        with read_errors_as_sentences(self.target):
            found = self.store.client.get_experiment_by_name(self.target.experiment)
            if found is not None and found.lifecycle_stage != "active":
                raise StoreUnavailableError(
                    f"the experiment {self.target.experiment} was deleted: restore it, "
                    "or set tracking.experiment"
                )
        return None if found is None else str(found.experiment_id)

    def search_runs(self, condition: str = "", *, limit: int | None = None) -> list[TrackedRun]:
        """Return the runs that match MLflow's filter expression, the newest first.

        Args:
            condition: Empty for all runs.
            limit: Number of runs at most; None for all.
        """
        if self.experiment_id is None:
            return []
        found: list[TrackedRun] = []
        token: str | None = None
        with read_errors_as_sentences(self.target), pause_gc():  # it takes half of the time with 1,000 runs
            while limit is None or len(found) < limit:
                size = RUNS_PER_PAGE if limit is None else min(RUNS_PER_PAGE, limit - len(found))
                page = self.store.client.search_runs(
                    [self.experiment_id], condition, max_results=size, page_token=token
                )
                found += map(convert_run, page)
                token = page.token
                if not token:
                    break
        return found

    def get_run(self, run_id: str) -> TrackedRun | None:
        """Return a run of any experiment of the store; None if there is none, or if it was deleted."""
        if self.is_empty:
            return None
        with read_errors_as_sentences(self.target):
            run = self.store.get_run(run_id)
        return convert_run(run) if run is not None and run.info.lifecycle_stage == "active" else None


@contextlib.contextmanager
def read_errors_as_sentences(target: TrackingTarget) -> Iterator[None]:
    """Turn errors of the store into sentences for the user; other errors are faults of the code.

    Raises:
        TrackingUnavailableError: The store does not answer, or refuses.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except TrackingUnavailableError:
        raise
    except UserError as error:
        raise TrackingUnavailableError(str(error)) from error
    except Exception as error:
        if not is_outage(error) and not isinstance(error, MlflowException):
            raise
        raise TrackingUnavailableError(
            f"MLflow at {target.uri} cannot be read: {describe_failure(error)}"
        ) from error


def quote_filter_value(text: str) -> str | None:
    """Quote a text for a filter expression of MLflow; None if its syntax cannot hold the text."""
    if "'" not in text:
        return f"'{text}'"
    return None if '"' in text else f'"{text}"'


def convert_run(run: Any) -> TrackedRun:
    """Convert a run of MLflow's client."""
    info = run.info
    dataset = next((item.dataset for item in (run.inputs.dataset_inputs if run.inputs else [])), None)
    outputs = run.outputs.model_outputs if run.outputs else []
    return TrackedRun(
        run_id=str(info.run_id),
        name=str(info.run_name or ""),
        status=str(info.status),
        started=(info.start_time or 0) / 1000,
        ended=info.end_time / 1000 if info.end_time else None,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        dataset=dataset.name if dataset else None,
        classes=_read_classes(dataset.schema) if dataset else (),
        model_id=outputs[-1].model_id if outputs else None,
    )


def _read_classes(schema: str | None) -> tuple[str, ...]:
    """Read the class names from the schema that `build_dataset_input` makes: image, then the classes."""
    import json

    try:
        columns = json.loads(schema or "{}")["mlflow_colspec"]
        return tuple(column["name"] for column in columns[1:])
    except (ValueError, KeyError, TypeError):  # a dataset that this pipeline did not log
        return ()
