"""Run a sweep, from the words of its command to its report."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Final

from pipeline.core.config_diff import join_first
from pipeline.core.errors import UserError
from pipeline.runtime.code_state import is_written_by_sweep
from pipeline.runtime.output_encoding import needs_ascii_json
from pipeline.storage.files import hold_writer_lock
from pipeline.storage.scratch_folder import create_scratch_folder, project_root
from pipeline.sweep.experiments import find_experiment_of_name, list_untracked_files
from pipeline.sweep.identity import SweepIdentity, build_identity, choose_name
from pipeline.sweep.job import JobResult, SweepContext, SweepEvent
from pipeline.sweep.launchers.choose import open_launcher
from pipeline.sweep.learning_curve.check_curve import check_learning_curve, check_zero_shot
from pipeline.sweep.loop import SweepLoop
from pipeline.sweep.outcome import SweepOutcome
from pipeline.sweep.preconditions import require_recordable_experiments
from pipeline.sweep.report.live_table import LiveTable
from pipeline.sweep.report.mlflow_log import SweepLog
from pipeline.sweep.report.study_run import open_study_run
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import SpacePlan, find_ineffective_axes, plan_space
from pipeline.sweep.space.sweep_words import HYDRA_KEY
from pipeline.sweep.stop_requests import StopRequests
from pipeline.sweep.study.database.address import hide_passwords
from pipeline.sweep.study.objectives import list_measured_metrics
from pipeline.sweep.study.open_study import open_study
from pipeline.sweep.study.study_inputs import StudyInputs
from pipeline.sweep.study.sweep_study import SweepStudy
from pipeline.sweep.study_jobs import StudyJobs
from pipeline.sweep.workspaces.sweep_commit import create_sweep_commit, delete_sweep_commit
from pipeline.sweep.workspaces.workspace import delete_workspaces
from pipeline.tracking.session import RunSession
from pipeline.tracking.target import TrackingTarget

if TYPE_CHECKING:
    from pipeline.sweep.study.pictures.draw_pictures import StudyPictures

PARENT_VARIABLE: Final = "FINETRACK_PARENT_RUN"
_QUOTED_SETTING: Final = re.compile(r'(sweep\.\w+=)"([\w./:@-]+)"')
"""A text as Hydra needs it quoted, and a user types it without quotes."""
WAIT_SECONDS: Final = 2.0
TRACKED: Final = ("conf", "pipeline", "hydra_plugins", "dvc.yaml", "params.yaml")


def run_planned_sweep(overrides: Sequence[str], settings: SweepSettings) -> None:
    """Run a sweep, or go on with it.

    Args:
        overrides: Of the command and of the prepared space that it names; without those of Hydra.
        settings: Of the sweep.

    Raises:
        UserError: The sweep cannot run, or jobs failed.
        KeyboardInterrupt: It was stopped; what ran can go on.
    """
    project = project_root()
    require_recordable_experiments()
    _tell_untracked(project)
    plan = plan_space(overrides, settings)
    for note in plan.notes:
        _tell(note)
    settings = settings.model_copy(update={"sampler": plan.sampler, "folds": plan.folds})
    if settings.curve:
        check_learning_curve(plan.space, settings, plan.first)
        check_zero_shot(plan.first)
    identity = build_identity(plan, is_tested=settings.test)
    is_named = settings.name is not None
    settings = settings.model_copy(update={"name": choose_name(plan.space, settings, identity.digests)})
    folder = create_scratch_folder("sweeps", str(settings.name))
    with hold_writer_lock(folder / "lock", what=f"the sweep {settings.name}"):
        Sweep(plan, settings, identity, is_named=is_named).run()


def _require_free_names(project: Path, name: str) -> None:
    """Require that a new sweep replaces no experiment of something else.

    Raises:
        UserError: It would.
    """
    taken = find_experiment_of_name(project, name)
    if taken:
        raise UserError(
            f"sweep.name={name} would replace the experiment {taken}, which is not of this sweep: "
            f"choose another name, or `dvc exp remove {taken}`"
        )


def _tell_untracked(project: Path) -> None:
    """Name untracked files of the configuration and the code; those that sweeps wrote are not needed."""
    missed = [
        name for name in list_untracked_files(project, *TRACKED) if not is_written_by_sweep(project / name)
    ]
    if missed:
        listed = join_first(missed, "git status")
        _tell(f"experiments run on what git tracks; run `git add` for these, or they miss them: {listed}")


class Sweep:
    """One sweep in this process."""

    def __init__(
        self, plan: SpacePlan, settings: SweepSettings, identity: SweepIdentity, *, is_named: bool
    ) -> None:
        self._plan, self._settings, self._identity = plan, settings, identity
        self._name, self._is_named = str(settings.name), is_named
        self._project = project_root()
        self._events: Queue[SweepEvent] = Queue()
        self._task: str | None = None
        self._told_plan = ""

    def run(self) -> None:
        """Run what is missing, score the winner, and report.

        Raises:
            UserError: The sweep cannot run, or jobs failed.
            KeyboardInterrupt: It was stopped.
        """
        with ExitStack() as resources:
            study = open_study(self._plan.space, self._settings, self._build_inputs())
            resources.callback(study.close)
            if self._is_named and not study.points:
                _require_free_names(self._project, self._name)
            session = resources.enter_context(self._open_run(study))
            log = SweepLog(session, self._plan.space, draw=lambda: _draw_pictures(study))
            log.log_plan(self._plan.space, self._settings)
            outcome = SweepOutcome(
                study,
                self._settings,
                command=_read_command(),
                project=self._project,
                values=self._plan.first,
            )
            try:
                if study.is_complete and not outcome.needs_evaluation():
                    _tell(f"{self._name} is complete: nothing is left to train")
                else:
                    self._run_jobs(study, self._build_context(session), outcome=outcome, log=log)
            finally:
                self._print_results(outcome.finish(log), outcome)
            outcome.require_success()

    def _print_results(self, lines: Sequence[str], outcome: SweepOutcome) -> None:
        """Print the results; with sweep.output=json nothing but JSON is on stdout."""
        is_json = self._settings.output == "json"
        print(*lines, sep="\n", file=sys.stderr if is_json else sys.stdout, flush=True)
        if is_json:
            ascii_only = needs_ascii_json()
            values = outcome.build_json()
            print(json.dumps(values, indent=2, ensure_ascii=ascii_only, allow_nan=False), flush=True)

    def _run_jobs(
        self, study: SweepStudy, context: SweepContext, *, outcome: SweepOutcome, log: SweepLog
    ) -> None:
        with ExitStack() as running:
            stops = running.enter_context(StopRequests())
            view = LiveTable(self._name)
            launcher = open_launcher(
                running, context, self._settings, events=self._events, values=self._plan.first
            )
            for note in getattr(launcher, "notes", ()):
                _tell(note)
            view.add_results(outcome.results)
            running.enter_context(view)
            loop = SweepLoop(
                launcher, self._events, view=view, stops=stops, fail_fast=self._settings.fail_fast
            )
            self._train(loop, study, view, take=lambda row: log.log_result(row, outcome.save()))
            if not loop.stopped and outcome.needs_evaluation():
                view.print("scoring the winner on test")
                outcome.evaluate_winner(loop)
        if stops.count:
            raise stops.build_error()
        setting = None if study.is_complete else study.find_used_setting()
        if setting:
            _tell(f"{setting} is used up: no more points are started; the same command goes on")
        if study.has_ended:
            delete_workspaces(context)
            delete_sweep_commit(self._project, self._name)

    def _train(
        self, loop: SweepLoop, study: SweepStudy, view: LiveTable, *, take: Callable[[JobResult], None]
    ) -> None:
        """Run the jobs of the study."""

        def take_result(result: JobResult) -> None:
            take(result)
            self._show_plan(study, view, capacity=loop.capacity)
            self._require_effects(result)

        self._show_plan(study, view, capacity=loop.capacity)
        jobs = StudyJobs(study, self._plan, self._settings)
        loop.run(jobs, take_result)
        told = ""
        while (
            not loop.stopped and not study.find_used_setting() and (reason := jobs.find_wait(loop.capacity))
        ):
            if reason != told:
                view.print(f"{reason}; Ctrl-C ends the wait")
            told = reason
            time.sleep(WAIT_SECONDS)
            loop.run(jobs, take_result)

    def _build_context(self, session: RunSession) -> SweepContext:
        """Commit what the jobs start from."""
        commit = create_sweep_commit(self._project, self._name)
        return SweepContext(
            name=self._name,
            project=self._project,
            folder=create_scratch_folder("sweeps", self._name),
            commit=commit.commit,
            environment={PARENT_VARIABLE: session.run_id or ""},
            measured=list_measured_metrics(self._settings.objectives, self._settings.constraints),
            baseline=commit.baseline,
            inputs=self._identity.inputs,
        )

    def _build_inputs(self) -> StudyInputs:
        configs = self._plan.configs
        return StudyInputs(
            identity={**self._identity.digests, **({"sweep.curve": "true"} if self._settings.curve else {})},
            base_seed=int(self._plan.first["seed"]),
            grid=self._plan.points,
            start=self._plan.start,
            find_error=configs.find_error,
            compute_key=configs.compute_key,
        )

    def _open_run(self, study: SweepStudy) -> AbstractContextManager[RunSession]:
        """Open the run of the study, or go on with it."""
        tracking = self._plan.first["tracking"]
        target = TrackingTarget(tracking["uri"], tracking["experiment"], tracking["timeout"])
        place = hide_passwords(self._settings.storage or str(self._project))
        return open_study_run(study, target, place=place, command=_read_command(), tell=_tell)

    def _show_plan(self, study: SweepStudy, view: LiveTable, *, capacity: int) -> None:
        """Tell how many points fit into sweep.hours, once it is known."""
        plan = study.plan_budget(capacity)
        if plan and self._told_plan != plan.sentence:
            view.print(plan.sentence)
            self._told_plan = plan.sentence
        view.set_plan(
            plan.points if plan else study.limit,
            repetitions=study.repetitions.total,
            capacity=capacity,
            seconds=study.seconds_left,
        )

    def _require_effects(self, result: JobResult) -> None:
        """Require, once the first job has told the task, that no axis is without effect for it.

        Raises:
            UserError: An axis is.
        """
        if result.task is None or result.task == self._task:
            return
        self._task = result.task
        idle = find_ineffective_axes(self._plan.space, result.task, self._plan.configs)
        if idle and self._plan.first["data"]["task"] == "auto":
            raise UserError(f"the command: {idle[0]}")


def _draw_pictures(study: SweepStudy) -> StudyPictures:
    """Draw the pictures of a study; the libraries are imported here, since they take seconds."""
    from pipeline.sweep.study.pictures.draw_pictures import draw_study_pictures

    return draw_study_pictures(study)


def _read_command() -> str:
    """Return the command as typed, from what Hydra got; passwords in it are hidden."""
    words = [word for word in sys.argv[1:] if word not in {"-m", "--multirun", "hydra/sweeper=finetrack"}]
    typed = [
        _QUOTED_SETTING.sub(r"\1\2", word.removeprefix("++").replace(HYDRA_KEY, "sweep.", 1))
        for word in words
    ]
    return hide_passwords(shlex.join(["python", "-m", "pipeline.sweep", "-m", *typed]))


def _tell(text: str) -> None:
    print(f"sweep: {text}", file=sys.stderr, flush=True)
