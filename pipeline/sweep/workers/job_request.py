"""A job and its events as lines of JSON, for the process that runs it on a node of a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.sweep.job import JobEnded, JobResult, StageBegan, SweepContext, SweepEvent, SweepJob
from pipeline.sweep.workers.node_process import GitSource


@dataclass(frozen=True)
class JobRequest:
    """What a node needs to know to run a job.

    Args:
        job: The job.
        context: Of the sweep, with the folders of the sweep's machine.
        attempt: How often the job was started, this time included.
        source: Where code and data come from; None where the project's disk is shared.
    """

    job: SweepJob
    context: SweepContext
    attempt: int = 1
    source: GitSource | None = None


def format_request(request: JobRequest) -> str:
    """Return a request as one line of JSON."""
    context = request.context._asdict()
    context |= {"project": str(request.context.project), "folder": str(request.context.folder)}
    values = {
        "job": asdict(request.job),
        "context": context
        | {"environment": dict(request.context.environment), "inputs": dict(request.context.inputs)},
        "attempt": request.attempt,
        "source": request.source,
    }
    return json.dumps(values, allow_nan=False)


def parse_request(line: str) -> JobRequest:
    """Read a request."""
    values = json.loads(line)
    context = values["context"]
    context |= {"project": Path(context["project"]), "folder": Path(context["folder"])}
    context["measured"] = tuple(context["measured"])
    source = None if values["source"] is None else GitSource(*values["source"])
    return JobRequest(_build_job(values["job"]), SweepContext(**context), values["attempt"], source)


def format_event(event: StageBegan | JobResult) -> str:
    """Return what a job reports as one line of JSON."""
    if isinstance(event, StageBegan):
        return json.dumps(
            {"stage": event.stage, "restored": event.restored, "number": event.number}, allow_nan=False
        )
    values = asdict(replace(event, metrics=dict(event.metrics)))
    return json.dumps({"result": values}, allow_nan=False)


def parse_event(line: str) -> SweepEvent | None:
    """Read what a job reported; None for any other line, such as one of which the end is missing."""
    try:
        values: Mapping[str, Any] = json.loads(line)
        if "stage" in values:
            return StageBegan(values["number"], values["stage"], values["restored"])
        result = JobResult(**{**values["result"], "job": _build_job(values["result"]["job"])})
    except (ValueError, TypeError, KeyError):
        return None
    return JobEnded(result.job.number, result)


def _build_job(values: Mapping[str, Any]) -> SweepJob:
    return SweepJob(**{**values, "overrides": tuple(values["overrides"])})
