"""The results of a sweep as a table of jobs, and as results.json in the folder of the sweep."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.storage.files import write_file
from pipeline.sweep.job import JobResult
from pipeline.sweep.report.points import SweepSummary

RESULTS_FILE: Final = "results.json"


def build_job_rows(results: Sequence[JobResult]) -> list[dict[str, Any]]:
    """Return a row for each job, by number: what it is, how it ended, and its metrics."""
    metrics = list(dict.fromkeys(name for result in results for name in result.metrics))
    ordered = sorted(results, key=lambda result: result.job.number)
    return [
        {
            "job": row.job.number,
            "point": row.job.point,
            "repetition": row.job.repetition,
            "what differs": row.job.label,
            "status": row.status,
            "metric": row.metric,
            "score": _keep_finite(row.score),
            **{name: _keep_finite(row.metrics.get(name)) for name in metrics},
            "epochs": row.epochs,
            "seconds": _keep_finite(row.seconds),
            "attempts": row.attempts,
            "reason": row.reason,
            "experiment": row.job.experiment,
            "run_id": row.run_id,
            "task": row.task,
            "overrides": " ".join(row.job.overrides),
        }
        for row in ordered
    ]


def write_results_file(folder: Path, summary: SweepSummary) -> Path:
    """Write results.json: all jobs, and the best points. Written atomically, after each job."""
    path = folder / RESULTS_FILE
    content = json.dumps(build_results(summary), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(path, f"{content}\n")
    return path


def build_results(summary: SweepSummary) -> Mapping[str, Any]:
    """Return the best points, and all jobs, as JSON values."""
    return {
        "sweep": summary.name,
        "command": summary.shown_command,
        "objectives": list(summary.objectives),
        "best": [
            {
                "point": point.number,
                "what differs": point.label,
                "overrides": list(point.overrides),
                "experiment": summary.get_experiment(point),
                "kind": point.kind,
                "mean": point.mean,
                "std": point.spread,
                "jobs": len(point.jobs),
            }
            for point in summary.best
        ],
        "test": dict(summary.test_metrics),
        "jobs": build_job_rows(summary.results),
    }


def _keep_finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
