"""Turn what the study plans into jobs: overrides, a label, an experiment's name, and what jobs share."""

from __future__ import annotations

from dataclasses import replace

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.storage.scratch_folder import project_root
from pipeline.sweep.job import EpochReported, JobResult, SweepJob, describe_origin
from pipeline.sweep.learning_curve.curve_overrides import build_curve_overrides
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import SpacePlan
from pipeline.sweep.space.shared_stages import SPLIT_STAGES, compute_shared_key, read_shared_keys
from pipeline.sweep.split_check import SplitCheck
from pipeline.sweep.study.open_point import PlannedTraining
from pipeline.sweep.study.sweep_study import SweepStudy


class StudyJobs:
    """The trainings of a study; see `JobSource`."""

    def __init__(self, study: SweepStudy, plan: SpacePlan, settings: SweepSettings) -> None:
        self._study, self._plan, self._settings = study, plan, settings
        self._keys = read_shared_keys()
        self._attempts: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._split_keys = read_shared_keys(stages=SPLIT_STAGES)
        self._splits = SplitCheck(
            project_root(), list_results=self._list_results, compute_key=self._compute_split_key
        )

    def next_job(self) -> SweepJob | None:
        """Return the next job; None if there is none to be started now."""
        planned = self._study.next_job()
        if planned is None:
            return None
        self._attempts[planned.number] = planned.attempt
        return self._build_job(planned)

    def report_epoch(self, event: EpochReported) -> bool:
        """Record a val metric; return whether the training ends here.

        Raises:
            UserError: The pruner would judge by another metric than the one that chooses.
        """
        self._epochs[event.number] = event.epoch
        self._require_judged_metric(event.metric)
        return self._study.report_epoch(event.number, event.epoch, event.value, epochs=event.epochs)

    def finish_job(self, result: JobResult) -> JobResult:
        """Record how a job ended, and return it: one on another split of the same images has failed."""
        attempts = self._attempts.get(result.job.number, 1)
        result = replace(result, attempts=attempts, origin=describe_origin(project_root()))
        if result.status == "pruned" and result.epochs is None:  # it has no experiment that would tell
            result = replace(result, epochs=self._epochs.get(result.job.number))
        problem = self._splits.find_problem(result)
        if problem:
            result = replace(result, status="failed", reason=problem, metrics={}, metric=None)
        self._study.finish_job(result)
        return result

    def stop(self) -> None:
        """Plan nothing more."""
        self._study.stop()

    def find_wait(self, capacity: int) -> str:
        """Return what is waited for where nothing of this process runs; empty if nothing is.

        Args:
            capacity: How many jobs may run at once now.
        """
        if self._study.is_complete:
            return ""
        if capacity < 1:
            return "no place for a job: waiting for one"
        elsewhere = sum(point.status == "running" for point in self._study.points)
        points = format_count(elsewhere, "point")
        return f"another process runs {points}: waiting for the results, or its end" if elsewhere else ""

    def _list_results(self) -> list[JobResult]:
        return [row for point in self._study.points for row in point.results]

    def _compute_split_key(self, overrides: tuple[str, ...]) -> str:
        return compute_shared_key(self._plan.configs.compose_words(overrides), self._split_keys)

    def _require_judged_metric(self, metric: str) -> None:
        chosen, pruner = self._study.objectives[0], self._settings.pruner
        if chosen not in {"", metric} and pruner not in {"none", "wilcoxon"}:
            raise UserError(
                f"sweep.pruner={pruner} judges these trainings by {metric} after each epoch, and "
                f"sweep.objectives={chosen} chooses: set sweep.objectives={metric}, or sweep.pruner=none"
            )

    def _build_overrides(self, planned: PlannedTraining) -> tuple[str, ...]:
        overrides = (*self._plan.space.build_overrides(planned.values), *planned.overrides)
        if not self._settings.curve:
            return overrides
        values = self._plan.configs.compose_words(overrides)
        return (*overrides, *build_curve_overrides(values, planned.repetition))

    def _build_job(self, planned: PlannedTraining) -> SweepJob:
        plan = self._plan
        overrides = self._build_overrides(planned)
        repetition = [word.removeprefix("data.") for word in planned.overrides if "folds=" not in word]
        return SweepJob(
            number=planned.number,
            point=planned.point,
            repetition=planned.repetition,
            overrides=overrides,
            label=" ".join([plan.space.build_label(planned.values), *repetition]).strip(),
            experiment=f"{self._study.name}-{planned.number}",
            last_stage="evaluate" if self._settings.test else "finetune",
            shared=compute_shared_key(plan.configs.compose_words(overrides), self._keys),
        )
