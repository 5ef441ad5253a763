"""Compare what MLflow has with the messages of an outbox, and send again what is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.text import format_count
from pipeline.tracking.outbox import OutboxMessage
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.mlflow_writer import OPENING_KINDS, MlflowWriter
from pipeline.tracking.store.model_upload import find_model
from pipeline.tracking.store.outage import is_outage, needs_server

REPEATABLE_KINDS = frozenset({"params", "metrics"})
"""Messages that can be sent again; the files of others were deleted when they were sent."""


def find_missing(writer: MlflowWriter) -> list[str]:
    """Compare MLflow with the journal, send missing parameters and metrics again, and return what is missing.

    Returns:
        A phrase for each kind of thing that MLflow lacks in a run; an empty list where it has everything.
    """
    missing: list[str] = []
    for run_id, messages in _group_by_run(writer):
        if any(_iterate_missing(writer.store, run_id, messages)):
            _send_again(writer, run_id, messages)
            missing += _iterate_missing(writer.store, run_id, messages)
    return missing


def _group_by_run(writer: MlflowWriter) -> Iterator[tuple[str, list[OutboxMessage]]]:
    """Yield each run of the outbox with its messages."""
    runs: Mapping[str, str] = writer.outbox.state.get("runs", {})
    grouped: dict[str, list[OutboxMessage]] = defaultdict(list)
    run_id: str | None = None
    for message in writer.outbox.read_messages():
        if message["kind"] in OPENING_KINDS:
            run_id = runs.get(str(message["time"]))
        elif run_id:
            grouped[run_id].append(message)
    yield from grouped.items()


def _send_again(writer: MlflowWriter, run_id: str, messages: Sequence[OutboxMessage]) -> None:
    writer.outbox.state["run_id"] = run_id
    writer.forget_points()
    for message in messages:
        if message["kind"] not in REPEATABLE_KINDS:
            continue
        try:
            writer.apply([message])
        except Exception as error:
            if is_outage(error):
                raise
            writer.forget_points()  # refused: the caller says that it is missing


def _iterate_missing(
    store: MlflowClientCache, run_id: str, messages: Sequence[OutboxMessage]
) -> Iterator[str]:
    run = store.client.get_run(run_id)
    by_kind: dict[str, list[OutboxMessage]] = defaultdict(list)
    for message in messages:
        by_kind[message["kind"]].append(message)
    lacking = {
        "parameter": _collect_names(by_kind["params"]) - run.data.params.keys(),
        "metric": set(_iterate_missing_metrics(store, run, by_kind["metrics"])),
        "file": set(_iterate_missing_files(store, run_id, by_kind["artifact"])),
    }
    for what, names in lacking.items():
        if names:
            yield f"{format_count(len(names), what)} of run {run_id} ({', '.join(sorted(names)[:3])})"
    if by_kind["model"] and str(getattr(find_model(store, run), "status", None)) != "READY":
        yield f"the model of run {run_id}"


def _collect_names(messages: Sequence[OutboxMessage]) -> set[str]:
    return {name for message in messages for name in message["values"]}


def _iterate_missing_metrics(
    store: MlflowClientCache, run: Any, messages: Sequence[OutboxMessage]
) -> Iterator[str]:
    """Yield metrics that the run lacks, or of whose curves it lacks a step."""
    steps: dict[str, set[int]] = defaultdict(set)
    for message in messages:
        for name in message["values"]:
            steps[name] |= set() if message["step"] is None else {message["step"]}
    for name, wanted in steps.items():
        if name not in run.data.metrics:
            yield name
        elif len(wanted) > 1:
            history = store.client.get_metric_history(run.info.run_id, name)
            if wanted - {point.step for point in history}:
                yield name


def _iterate_missing_files(
    store: MlflowClientCache, run_id: str, messages: Sequence[OutboxMessage]
) -> Iterator[str]:
    """Yield files that the run lacks, or whose size differs from that of the file that was sent last."""
    wanted = {
        "/".join(part for part in (message["folder"], path) if part): size
        for message in messages
        for path, size in message.get("files", ())
    }
    folders = {path.rpartition("/")[0] for path in wanted}
    known = {file.path: file.file_size for folder in folders for file in _list_files(store, run_id, folder)}
    yield from (path for path, size in wanted.items() if known.get(path) != size)


def _list_files(store: MlflowClientCache, run_id: str, folder: str) -> list[Any]:
    """List the files of a folder of a run; none where only a server reaches them."""
    from mlflow.exceptions import MlflowException

    try:
        return list(store.client.list_artifacts(run_id, folder or None))
    except MlflowException as error:
        if not needs_server(error):
            raise
        return []
