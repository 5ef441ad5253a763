"""Sweeps on a plain function instead of a training: what the tests of studies run."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.sweep.job import JobResult, JobStatus, SweepJob
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import PointValues, SearchAxis, SearchSpace
from pipeline.sweep.study.open_point import PlannedTraining
from pipeline.sweep.study.open_study import open_study
from pipeline.sweep.study.study_inputs import StudyInputs
from pipeline.sweep.study.sweep_study import SweepStudy

RATE = SearchAxis("finetune.lr0", low=1e-5, high=1e-1, log=True)
SHARE = SearchAxis("finetune.mosaic", low=0.0, high=1.0)
LAYERS = SearchAxis("finetune.freeze", low=0, high=9, integer=True)
STRATEGY = SearchAxis("finetune", choices=("full", "head"))
SIZE = SearchAxis("finetune.imgsz", choices=("320", "640", "960"))
INTERVALS = SearchSpace(("epochs=5",), (RATE, SHARE, LAYERS))
MIXED = SearchSpace((), (RATE, STRATEGY))
CHOICES = SearchSpace((), (STRATEGY, SIZE))
EPOCHS = 5


def open_sweep(space: SearchSpace, *, inputs: StudyInputs | None = None, **settings: object) -> SweepStudy:
    """Open a study named `sweep` in the project that FINETRACK_ROOT names."""
    chosen = SweepSettings.model_validate({"name": "sweep", **settings})
    return open_study(space, chosen, inputs or StudyInputs({"images": "1"}))


def copy_empty_database(template: Path, project: Path) -> None:
    """Give a project a database that has its tables already, which takes Optuna a third of a second."""
    target = project / ".finetrack" / "sweeps" / "studies.db"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, target)


def compute_score(values: PointValues) -> float:
    """Return a score, 0 to 1: the best are a rate of 1e-3 and the size 640."""
    rate = math.log10(float(values.get("finetune.lr0", 1e-3))) + 3
    share = float(values.get("finetune.mosaic", 0.3)) - 0.3
    layers = float(values.get("finetune.freeze", 4)) - 4
    size = abs(int(values.get("finetune.imgsz", 640)) - 640) / 3200
    head = 0.05 if values.get("finetune") == "head" else 0.0
    return 0.9 - rate**2 / 20 - share**2 / 4 - layers**2 / 100 - size - head


def build_result(job: PlannedTraining, status: JobStatus = "trained", **changes: object) -> JobResult:
    """Build the result of a job with the score of its values."""
    named = SweepJob(job.number, job.point, job.repetition, job.overrides, "label", f"sweep-{job.number}")
    score = compute_score(job.values)
    metrics = {"mAP50-95": score, "milliseconds": 100 * (1 - score)} if status == "trained" else {}
    options = {"metrics": metrics, "metric": "mAP50-95", "task": "detect", "epochs": EPOCHS, "seconds": 10.0}
    return JobResult(named, status, **{**options, **changes})  # type: ignore[arg-type]


def train(study: SweepStudy, job: PlannedTraining) -> JobResult:
    """Train a job: report its epochs, and end where it is pruned."""
    score = compute_score(job.values)
    for epoch in range(1, EPOCHS + 1):
        if study.report_epoch(job.number, epoch, score * (1 - 0.7**epoch), epochs=EPOCHS):
            return build_result(job, "pruned", epochs=epoch, seconds=2.0 * epoch)
    return build_result(job)


def run_sweep(
    study: SweepStudy, run: Callable[[SweepStudy, PlannedTraining], JobResult] = train
) -> list[int]:
    """Run all jobs, one after another. Return the numbers of those that ran."""
    numbers = []
    while (job := study.next_job()) is not None:
        numbers.append(job.number)
        study.finish_job(run(study, job))
    return numbers
