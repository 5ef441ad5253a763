"""Compare a run in MLflow with run.json, dvc.lock and the reports of the same training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.config.automatic import AUTOMATIC
from pipeline.core.model_names import model_name_for_task
from pipeline.core.paths import PARAMS_FILE, TEST_METRICS_FILE, TRAINING_METRICS_FILE
from pipeline.doctor.check_finding import CheckFinding
from pipeline.finetune.run_key import reduce_finetune
from pipeline.iterations.recorded_results import flatten_reports
from pipeline.iterations.tracked_iteration import parse_param
from pipeline.tracking.sanitize import sanitize_params
from pipeline.tracking.store.run_tags import KEY_TAG, STAGE_TAG_PREFIX, WEIGHTS_TAG
from pipeline.tracking.store.tracked_runs import TrackedRun

_FINETUNE: Final = "finetune."
_SHOWN: Final = 3
_TRUST: Final = (
    "trust dvc.lock and the files; for a true record in MLflow, train again: "
    "`dvc repro --force --single-item finetune`"
)


class RunRecords(NamedTuple):
    """What the project says of its last training.

    Attributes:
        facts: Of run.json.
        stages: Of dvc.lock.
        root: The project's folder, with the reports.
    """

    facts: Mapping[str, Any]
    stages: Mapping[str, Any]
    root: Path


def compare_run(
    run: TrackedRun, children: Sequence[TrackedRun], records: RunRecords
) -> Iterator[CheckFinding]:
    """Yield a finding for each contradiction between a run and the records of the project.

    Args:
        run: The run that run.json names.
        children: Its child runs: further evaluations of the same weights.
        records: Of the project.
    """
    name = f"MLflow's run {run.name or run.run_id[:8]} ({run.run_id[:8]})"
    for what, in_run, in_file in _list_tags(run, records.facts):
        if in_run and in_file and in_run != in_file:
            seen = f"{name} has another {what} ({in_run[:12]}) than run.json ({in_file[:12]})"
            yield CheckFinding("fault", seen, _TRUST)
    params = [*list_other_params(run.params, records.stages)]
    if params:
        yield CheckFinding(
            "fault", f"{name} has other parameters than dvc.lock: {_list_briefly(params)}", _TRUST
        )
    yield from _compare_metrics(name, run, children, records.root)
    ended = run.tags.get(f"{STAGE_TAG_PREFIX}finetune")
    if ended in {"failed", "killed"}:
        seen = f"{name} says that the training was {ended}, and dvc.lock has its result"
        yield CheckFinding("warning", seen, "run `finetrack send`; if this stays, train again")


def list_other_params(params: Mapping[str, str], stages: Mapping[str, Any]) -> Iterator[str]:
    """Yield each parameter whose value in MLflow differs from that in dvc.lock, with both values.

    Only what the run key has is compared: a training that goes on or is used again may have other values of
    the rest, such as another GPU, and its run keeps the first ones.

    Args:
        params: Of the run, as texts.
        stages: Of dvc.lock.
    """
    stage = stages.get("finetune")
    values = (stage.get("params") or {}).get(PARAMS_FILE.name) if isinstance(stage, dict) else None
    recorded = sanitize_params(values) if isinstance(values, dict) else {}
    in_run = {key: params.get(key, text) for key, text in recorded.items()}
    deciding = _reduce_params(in_run)
    for key, value in _reduce_params(recorded).items():
        if not _is_same(deciding.get(key), value):
            yield f"{key}={in_run[key]} instead of {recorded[key]}"


def _reduce_params(params: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the run key has of the stage's parameters, by their keys.

    Its digest of the prepared data stands for data.fraction, and that of the base weights for model.name.

    Args:
        params: As texts.
    """
    values = {key: parse_param(text) for key, text in params.items()}
    own = {key.removeprefix(_FINETUNE): value for key, value in values.items() if key.startswith(_FINETUNE)}
    used = {f"{_FINETUNE}{name}": value for name, value in reduce_finetune(own).items()}
    used |= {
        key: value for key, value in values.items() if key == "seed" or key.startswith("augment.online.")
    }
    architecture = "model.architecture"
    if architecture in params:  # the task decides the suffix of Ultralytics' names
        used[architecture] = model_name_for_task(params[architecture], "detect")
    usual = f"model.lr0.{own.get('strategy')}"
    if own.get("lr0") == AUTOMATIC and usual in values:  # the rate around which the test looks
        used[usual] = values[usual]
    return used


def _list_tags(run: TrackedRun, facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what run and run.json both name: its name, the value in the run, and that in the file."""
    hashes = facts.get("sha256")
    best = hashes.get("best") if isinstance(hashes, dict) else None
    yield "SHA-256 of its weights", run.tags.get(WEIGHTS_TAG, ""), str(best or "")
    yield "key of its training", run.tags.get(KEY_TAG, ""), str(facts.get("key") or "")


def _compare_metrics(
    name: str, run: TrackedRun, children: Sequence[TrackedRun], root: Path
) -> Iterator[CheckFinding]:
    """Compare the val metrics with the run's, and the test metrics with those of any of its evaluations."""
    files = (TRAINING_METRICS_FILE, TEST_METRICS_FILE)
    metrics, _ = flatten_reports(
        {path: (root / path).read_bytes() for path in files if (root / path).is_file()}
    )
    val = _find_other_metrics(run, metrics, "best/")
    if val:
        yield CheckFinding(
            "fault", f"{name} has other val metrics than {files[0]}: {_list_briefly(val)}", _TRUST
        )
    evaluated = [each for each in (run, *children) if any(key.startswith("test/") for key in each.metrics)]
    differences = [_find_other_metrics(each, metrics, "test/") for each in evaluated]
    if differences and all(differences):
        seen = f"{name} has other test metrics than {files[1]}: {_list_briefly(differences[0])}"
        yield CheckFinding("fault", seen, "run `dvc repro --force --single-item evaluate` for a true record")


def _find_other_metrics(run: TrackedRun, metrics: Mapping[str, float], prefix: str) -> list[str]:
    return [
        f"{key}={run.metrics[key]:.4g} instead of {value:.4g}"
        for key, value in metrics.items()
        if key.startswith(prefix) and key in run.metrics and not _is_close(run.metrics[key], value)
    ]


def _is_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _is_same(one: Any, other: Any) -> bool:
    """Compare two values of parameters: 1e-05 and 1.0e-05 are the same."""
    with suppress(TypeError, ValueError):
        if isinstance(one, float) or isinstance(other, float):
            return _is_close(float(one), float(other))
    return bool(one == other)


def _list_briefly(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
