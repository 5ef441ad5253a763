"""A job of a sweep, what happens to it, and what a launcher has to do."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

JobStatus = Literal["trained", "restored", "pruned", "failed", "killed"]
"""`restored`: DVC had the result already. `pruned`: stopped early, since its val metric was behind.
`failed`: it raised, was refused, or ran out of memory. `killed`: by a signal, or with the sweep."""

LastStage = Literal["finetune", "evaluate"]


@dataclass(frozen=True)
class SweepJob:
    """One training of a sweep: one repetition of one point.

    Args:
        number: Its place in the sweep, from 0. A job that runs again keeps its number.
        point: The number of its point (Optuna's trial), from 0.
        repetition: Which of the seeds and folds of its point, from 0.
        overrides: What DVC's `--set-param` gets, one override each: those of all jobs, of the point, of seed
            and fold.
        label: What differs in the sweep, such as `lr0=0.001 augment=light`.
        experiment: The name of its DVC experiment.
        last_stage: `finetune`, or `evaluate` to score it on test, too.
        shared: Jobs with the same text share the results of `prepare` and `augment`.
    """

    number: int
    point: int
    repetition: int
    overrides: tuple[str, ...]
    label: str
    experiment: str
    last_stage: LastStage = "finetune"
    shared: str = ""


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Args:
        job: The job.
        status: See `JobStatus`.
        metrics: Of its best epoch on val, such as `{"mAP50-95": 0.41}`, and measured ones: `milliseconds` per
            image, `parameters`, `seconds` of training. Empty unless it was trained or restored.
        metric: The name of the metric that ranks it, such as mAP50-95; None if it has none.
        task: The task, such as detect; None where it is not known.
        run_id: The MLflow run that made the weights; None if it has none, or MLflow did not answer.
        reason: Why it failed, was killed, or was pruned; one sentence.
        epochs: How many epochs were trained; None where it is not known.
        seconds: From start to end, all stages.
        attempts: How often it was started, at least 1.
        split: A digest of how `prepare` divided its images; None where it is not known.
        origin: The project that has its experiment, as `HOST:PATH`; None where it is not known.
    """

    job: SweepJob
    status: JobStatus
    metrics: Mapping[str, float] = field(default_factory=dict)
    metric: str | None = None
    task: str | None = None
    run_id: str | None = None
    reason: str | None = None
    epochs: int | None = None
    seconds: float = 0.0
    attempts: int = 1
    split: str | None = None
    origin: str | None = None

    @property
    def score(self) -> float | None:
        """The metric that ranks it, on val; None if it has none."""
        return None if self.metric is None else self.metrics.get(self.metric)


def describe_origin(project: Path) -> str:
    """Return a project of this machine as `JobResult.origin` names it."""
    return f"{platform.node()}:{project}"


class StageBegan(NamedTuple):
    """A stage of a job began, or was restored by DVC."""

    number: int
    stage: str
    restored: bool


class EpochReported(NamedTuple):
    """A training has validated an epoch, and waits for the answer whether it is pruned.

    Attributes:
        number: The job's number.
        epoch: From 1.
        epochs: How many there will be at most; None where a time limit decides.
        metric: The name of the metric that ranks trainings of its task.
        value: Its value on val, 0 to 1.
        answer: Called once, with True to end the training here.
    """

    number: int
    epoch: int
    epochs: int | None
    metric: str
    value: float
    answer: Callable[[bool], None]


class JobEnded(NamedTuple):
    """The processes of a job have ended."""

    number: int
    result: JobResult


SweepEvent = StageBegan | EpochReported | JobEnded


CODE_NAME: Final = "code."
"""Before a stage in the names of `SweepContext.inputs`."""


class SweepContext(NamedTuple):
    """What all jobs of a sweep have in common.

    Attributes:
        name: The name of the sweep.
        project: The project's folder, absolute.
        folder: The folder of this sweep, below .finetrack/sweeps; job 7 owns `jobs/0007` in it.
        commit: The git commit that the jobs start from; it holds uncommitted changes of tracked files, too.
        environment: Variables for every process of every job: FINETRACK_PARENT_RUN and the like.
        measured: Names of metrics to measure after a training: `milliseconds`, `parameters`.
        baseline: The commit that the experiments belong to, the project's HEAD; empty if it is `commit`.
        pulls: Whether DVC fetches recorded results from its remote: on machines without the project's disk.
        inputs: Fingerprints when the sweep began: of images and weights by their names in the configuration,
            of the code by `CODE_NAME` and the stage.
    """

    name: str
    project: Path
    folder: Path
    commit: str
    environment: Mapping[str, str]
    measured: tuple[str, ...] = ()
    baseline: str = ""
    pulls: bool = False
    inputs: Mapping[str, str] = {}

    def get_job_folder(self, number: int) -> Path:
        """Return the folder of a job, for its log and its result."""
        return self.folder / "jobs" / f"{number:04d}"


class Launcher(Protocol):
    """Runs jobs, several at once, and puts `StageBegan` and `JobEnded` into the queue of its sweep."""

    @property
    def capacity(self) -> int:
        """How many jobs may run at once now; it may grow when the first job's memory is known."""

    def start(self, job: SweepJob) -> None:
        """Start a job; it ends with exactly one `JobEnded`."""

    def stop(self, number: int, *, force: bool) -> None:
        """Ask a job to write its checkpoint and end, or with `force` kill its processes."""

    def close(self) -> None:
        """Kill what still runs, and release what was held. Called once, at the end."""
