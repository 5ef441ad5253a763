"""What the database has of a point: the results of its jobs, its curves, its owner, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from optuna.trial import FrozenTrial

from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.space.prepared_spaces import drop_prepared_spaces

OWNER: Final = "owner"
"""Which process runs a point; None while none does."""
FAILED: Final = "failed"
"""In which invocation of a process a job of the point failed last."""
PRUNED: Final = "pruned"
"""The epoch, or repetition, after which the first repetition was told to end."""
KEY: Final = "key"
"""Points with the same key are one training."""
DUPLICATE: Final = "duplicate"
"""The number of the point whose result a point took over."""
INFEASIBLE: Final = "infeasible"
"""Why a point cannot be trained."""
UNRATED: Final = "unrated"
"""Why a trained point has no value."""
EPOCHS: Final = "epochs"
"""How many epochs the training of a point has at most."""
_RESULT: Final = "result:"
_CURVE: Final = "curve:"
_ATTEMPTS: Final = "attempts:"


def name_result(repetition: int) -> str:
    """Return the attribute with the result of a repetition."""
    return f"{_RESULT}{repetition}"


def name_curve(repetition: int) -> str:
    """Return the attribute with the val metric of each epoch of a repetition."""
    return f"{_CURVE}{repetition}"


def name_attempts(repetition: int) -> str:
    """Return the attribute with the number of starts of a repetition."""
    return f"{_ATTEMPTS}{repetition}"


def encode_result(result: JobResult) -> dict[str, Any]:
    """Return a result as JSON values."""
    return {**asdict(result), "metrics": dict(result.metrics)}


def decode_result(values: Mapping[str, Any]) -> JobResult:
    """Return a result from JSON values; keys of a later version are ignored."""
    job = _select_fields(SweepJob, values["job"])
    job["overrides"] = tuple(drop_prepared_spaces(job["overrides"]))  # earlier versions kept them
    return JobResult(**{**_select_fields(JobResult, values), "job": SweepJob(**job)})


def read_results(trial: FrozenTrial) -> dict[int, JobResult]:
    """Return the last result of each repetition that has one, failed ones too."""
    return {
        repetition: decode_result(values)
        for repetition, values in sorted(_select_attributes(trial, _RESULT).items())
    }


def read_curve(trial: FrozenTrial, repetition: int) -> dict[int, float]:
    """Return the val metric of each epoch of a repetition, from 1."""
    found = trial.user_attrs.get(name_curve(repetition), {})
    return {int(epoch): value for epoch, value in found.items()}


def read_curves(trial: FrozenTrial) -> dict[int, dict[int, float]]:
    """Return the val metric of each epoch, by repetition."""
    return {
        repetition: read_curve(trial, repetition) for repetition in sorted(_select_attributes(trial, _CURVE))
    }


def read_attempts(trial: FrozenTrial, repetition: int) -> int:
    """Return how often a repetition was started."""
    return int(trial.user_attrs.get(name_attempts(repetition), 0))


def _select_attributes(trial: FrozenTrial, prefix: str) -> dict[int, Any]:
    return {
        int(name.removeprefix(prefix)): value
        for name, value in trial.user_attrs.items()
        if name.startswith(prefix)
    }


def _select_fields(kind: type[JobResult] | type[SweepJob], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in kind.__dataclass_fields__}
