"""What came out of a sweep: kept after each job, and told, logged and written at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from pipeline.compose.stage import ParamValues, parse_params
from pipeline.config.key_use import compute_effective_key
from pipeline.core.errors import UserError
from pipeline.core.paths import PARAMS_FILE, TRAINING_METRICS_FILE
from pipeline.core.text import format_count
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.sweep.experiments import find_experiment_commit, read_committed_file
from pipeline.sweep.identity import TEST_KEYS
from pipeline.sweep.job import JobResult, describe_origin
from pipeline.sweep.loop import SweepLoop
from pipeline.sweep.report.best_config import BestConfig, build_best_config, write_best_config
from pipeline.sweep.report.cleanup import describe_cleanup, remove_experiments
from pipeline.sweep.report.mlflow_log import SweepLog
from pipeline.sweep.report.points import PointSummary, SweepSummary
from pipeline.sweep.report.results_file import build_results, write_results_file
from pipeline.sweep.report.results_table import describe_point, describe_sweep
from pipeline.sweep.report.summarize_study import summarize_study
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.study.sweep_study import SweepStudy
from pipeline.sweep.winner import (
    WinnerEvaluations,
    add_test_record,
    build_test_record,
    describe_absence,
    describe_test_scores,
    name_evaluation,
    read_test_score,
)

if TYPE_CHECKING:
    from pipeline.sweep.learning_curve.finish_curve import FinishedCurve


class SweepOutcome:
    """The results of a sweep."""

    def __init__(
        self,
        study: SweepStudy,
        settings: SweepSettings,
        *,
        command: str,
        project: Path,
        values: ParamValues,
    ) -> None:
        self._study, self._settings, self._values = study, settings, values
        self._command, self._project = command, project
        self._evaluation_problem = self._evaluation_note = ""
        self._curve: FinishedCurve | None = None
        self._curve_problem: UserError | None = None

    @property
    def results(self) -> list[JobResult]:
        """The last result of each job, of earlier processes too."""
        return list(summarize_study(self._study, self._command).results)

    def save(self) -> SweepSummary:
        """Write results.json in the folder of the sweep."""
        summary = self.summarize()
        write_results_file(create_scratch_folder("sweeps", self._study.name), summary)
        return summary

    def summarize(self) -> SweepSummary:
        """Summarize the sweep as it is now."""
        summary = self._add_test(summarize_study(self._study, self._command))
        absent = self._list_absent(summary.winner)
        if not absent:
            return summary
        if not summary.test:
            record, values = self._study.read_test_record(), dict(self._list_test_values())
            summary = add_test_record(summary, values, record)
        note = describe_absence(absent, is_scored=bool(summary.test))
        return replace(summary, winner_is_elsewhere=True, notes=(*summary.notes, note))

    def _list_absent(self, winner: PointSummary | None) -> list[JobResult]:
        """List the trainings of the winner whose experiments another project of a shared study has.

        An experiment of this project was removed, and DVC restores it.
        """
        if winner is None or self._settings.storage is None:
            return []
        own = describe_origin(self._project)
        return [
            row
            for row in winner.jobs
            if row.origin != own and find_experiment_commit(self._project, row.job.experiment) is None
        ]

    def needs_evaluation(self) -> bool:
        """Return whether the winner is to be scored on test: once, unless there is another winner.

        A winner that another project has is not: it would be trained again.
        """
        summary = self.summarize()
        is_open = summary.winner is not None and not self._settings.test and not summary.test
        return is_open and not summary.winner_is_elsewhere

    def evaluate_winner(self, loop: SweepLoop) -> None:
        """Score all trainings of the winner on test, by the present values of evaluate."""
        summary = self.summarize()
        winner = summary.winner
        if winner is None or summary.winner_is_elsewhere:  # another process has just found it
            return
        words = tuple(
            f"evaluate.{key}={json.dumps(value, allow_nan=False)}" for key, value in self._list_test_values()
        )
        jobs = [replace(row.job, overrides=(*row.job.overrides, *words)) for row in winner.jobs]
        evaluations = WinnerEvaluations(jobs, self._study.name)
        loop.run(evaluations)
        if len(evaluations.results) == len(jobs) or any(map(_is_lost, evaluations.results)):
            self._judge_evaluations(winner, evaluations.results)

    def _judge_evaluations(self, scored: PointSummary, results: Sequence[JobResult]) -> None:
        """Keep what is to be told of evaluations; the other processes of a study went on meanwhile."""
        summary = self.summarize()
        if summary.test:
            return
        failed = [row for row in results if _is_lost(row)]
        if summary.winner is None or _list_trainings(summary.winner) != _list_trainings(scored):
            again = "" if summary.winner_is_elsewhere else ", which the same command scores"
            self._evaluation_note = (
                "another process finished a better point while the winner was scored on test: "
                f"there is a new winner{again}"
            )
        elif failed:
            self._evaluation_problem = str(failed[0].reason)
        elif not summary.winner_is_elsewhere:
            self._evaluation_problem = (
                "the evaluation has no figure of its training, which DVC's cache may have lost, so that it "
                "was trained again: run `python -m pipeline pull`, then the same command again"
            )

    def finish(self, log: SweepLog) -> list[str]:
        """Write and log everything; return the lines for the terminal."""
        summary = self.save()
        if summary.test and self._settings.storage and not summary.winner_is_elsewhere:
            record = build_test_record(summary, dict(self._list_test_values()))
            self._study.write_test_record(record)
        if self._settings.curve:
            return self._finish_curve(summary, log)
        config, problem = self._write_best_config(summary)
        log.log_end(summary, config)
        lines = describe_sweep(summary, config_name=config.name if config and not problem else None)
        others = self._study.count_elsewhere()
        if others:
            points = format_count(others, "point")
            lines.append(f"another process runs {points}, and goes on writing to the same run in MLflow")
        lines += [self._evaluation_note] if self._evaluation_note else []
        return [*lines, *([problem] if problem else []), *self._remove_experiments(summary)]

    def _finish_curve(self, summary: SweepSummary, log: SweepLog) -> list[str]:
        """Build the learning curve; what is wrong with it is told by `require_success`."""
        from pipeline.sweep.learning_curve.finish_curve import finish_learning_curve

        try:
            values = self._values if self._study.is_complete else None
            self._curve = finish_learning_curve(summary, log, self._project, values)
        except UserError as error:
            self._curve_problem = error
        return self._curve.lines if self._curve else []

    def build_json(self) -> Mapping[str, Any]:
        """Return the results as JSON values: the learning curve, or else the best points and all jobs."""
        return self._curve.values if self._curve else build_results(self.summarize())

    def require_success(self) -> None:
        """Require that every job and evaluation succeeded.

        Raises:
            UserError: Some failed, or there is no learning curve.
        """
        results = self.results
        lost = [row for row in results if _is_lost(row)]
        if lost:
            raise UserError(
                f"{len(lost)} of {format_count(len(results), 'job')} failed: "
                "the same command again runs only what is missing"
            )
        if self._curve_problem:
            raise self._curve_problem
        if self._evaluation_problem:
            raise UserError(f"the winner was not scored on test: {self._evaluation_problem}")

    def _add_test(self, summary: SweepSummary) -> SweepSummary:
        """Add the winner's scores on test, where it was evaluated."""
        winner = summary.winner
        if winner is None or winner.metric is None:
            return summary
        names = [
            job.job.experiment if self._settings.test else name_evaluation(summary.name, place)
            for place, job in enumerate(winner.jobs)
        ]
        read = [
            read_test_score(self._project, name, winner.metric)
            for name, row in zip(names, winner.jobs, strict=True)
            # Else it is of an earlier winner, or of other values of evaluate.
            if self._is_evaluation(name, row) and (self._settings.test or self._has_test_values(name))
        ]
        scores = [score for score in read if score is not None]
        if len(scores) < len(names):
            return summary
        return replace(
            summary,
            test=f"the best on test: {describe_test_scores(winner.metric, scores)}",
            test_metrics={f"best/test/{winner.metric}": mean(score.value for score in scores)},
            winner_experiment=names[0],
        )

    def _is_evaluation(self, name: str, row: JobResult) -> bool:
        """Return whether an experiment is of a training, whose own experiment may have been removed."""
        own, evaluated = self._read_params(row.job.experiment), self._read_params(name)
        if own is not None and evaluated is not None:  # how runs are logged and scored may have changed
            keys = [compute_effective_key(parse_params(text.encode())) for text in (own, evaluated)]
            return keys[0] == keys[1]
        report = self._read_file(name, TRAINING_METRICS_FILE)
        val = json.loads(report).get("val", {}) if report else {}
        return row.metric is not None and val.get(row.metric) == row.score

    def _has_test_values(self, name: str) -> bool:
        """Return whether an experiment was scored by the present values of evaluate."""
        text = self._read_params(name)
        values = parse_params(text.encode())["evaluate"] if text else {}
        return all(values.get(key) == value for key, value in self._list_test_values())

    def _list_test_values(self) -> list[tuple[str, Any]]:
        """List the values of evaluate that decide the figures on test."""
        return [(key, self._values["evaluate"][key]) for key in TEST_KEYS]

    def _write_best_config(self, summary: SweepSummary) -> tuple[BestConfig | None, str]:
        """Write the winner to conf/experiment; return it, and why it is not there."""
        winner = summary.winner
        if winner is None:
            return None, ""
        try:
            config = build_best_config(summary.name, winner.overrides, notes=self._describe(summary, winner))
        except UserError as error:
            return None, str(error)
        try:
            write_best_config(config, expected=self._read_values(winner))
        except UserError as error:
            return config, str(error)
        return config, ""

    def _read_values(self, winner: PointSummary) -> ParamValues | None:
        """Return the configuration that the winner was trained with; None if its file has no such job."""
        params = None if winner.has_folds else self._read_params(winner.jobs[0].job.experiment)
        return parse_params(params.encode()) if params else None

    def _read_params(self, experiment: str) -> str | None:
        """Return params.yaml of an experiment; None if there is none of this name."""
        return self._read_file(experiment, PARAMS_FILE)

    def _read_file(self, experiment: str, file: Path) -> str | None:
        commit = find_experiment_commit(self._project, experiment)
        return read_committed_file(self._project, commit, file) if commit else None

    def _remove_experiments(self, summary: SweepSummary) -> list[str]:
        """With sweep.keep=best remove the experiments of the other jobs, once all have ended."""
        if self._settings.keep == "all" or not summary.best:
            return []
        if not self._study.has_ended:
            return ["no experiment was removed yet (sweep.keep=best): points are left to be trained"]
        count = max(len(point.jobs) for point in summary.best)
        keep = {name_evaluation(summary.name, place) for place in range(count)}
        keep |= {job.job.experiment for point in summary.best for job in point.jobs}
        names = [result.job.experiment for result in summary.results]
        try:
            return [describe_cleanup(remove_experiments(names, keep=keep, project=self._project))]
        except UserError as error:  # the results are told all the same
            return [f"the other experiments were not removed (sweep.keep=best): {error}"]

    def _describe(self, summary: SweepSummary, winner: PointSummary) -> list[str]:
        return [describe_point(summary, winner), *([summary.test] if summary.test else []), summary.command]


def _list_trainings(point: PointSummary) -> list[tuple[int, str | None]]:
    """List what tells the trainings of a point from those of others."""
    return [(row.job.number, row.run_id) for row in point.jobs]


def _is_lost(result: JobResult) -> bool:
    return result.status in {"failed", "killed"}
