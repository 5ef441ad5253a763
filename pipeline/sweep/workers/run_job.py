"""Run one job of a sweep in a workspace: prepare it, run DVC, fetch the experiment, read its results."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.compose.lockfile import parse_lock
from pipeline.core.errors import UserError
from pipeline.core.metric_names import MAIN_METRICS, select_main_metric
from pipeline.core.model_names import DOWNLOADABLE_WEIGHTS
from pipeline.core.paths import COMPOSE_LOCK_FILE, FINETUNED_FOLDER, SPLITS_FILE, TRAINING_METRICS_FILE
from pipeline.storage.files import write_file
from pipeline.storage.finished_trainings import DVC_LOCK_FILE, delete_recorded_outputs
from pipeline.storage.git_commands import run_git
from pipeline.sweep.experiments import read_committed_file
from pipeline.sweep.job import CODE_NAME, JobResult, StageBegan, SweepContext, SweepJob
from pipeline.sweep.split_check import digest_split
from pipeline.sweep.workers.job_environment import build_dvc_command, build_job_environment
from pipeline.sweep.workers.job_output import JobOutput, parse_stage_line
from pipeline.sweep.workers.job_process import JobProcess, ProcessSettings
from pipeline.sweep.workers.memory_kills import count_memory_kills
from pipeline.sweep.workers.resource_share import ResourceShare
from pipeline.sweep.workspaces.shared_results import note_shared_results
from pipeline.sweep.workspaces.workspace import Workspace, collect_experiment, prepare_workspace

LOG_FILE = "output.log"
RESULT_FILE = "result.json"
STOPPED = "the sweep was stopped"


@dataclass(frozen=True)
class JobControl:
    """What the launcher and a running job tell one another.

    Args:
        process: Stops the job, and measures its memory.
        on_stage: Called when a stage begins or is restored, from another thread.
        variables: Further environment variables of the job, such as FINETRACK_SWEEP_CHANNEL.
    """

    process: JobProcess = field(default_factory=JobProcess)
    on_stage: Callable[[StageBegan], None] = lambda _: None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _JobRun:
    """A job, where it runs, and with what."""

    job: SweepJob
    context: SweepContext
    workspace: Workspace
    share: ResourceShare
    control: JobControl

    @property
    def folder(self) -> Path:
        return self.context.get_job_folder(self.job.number)

    def run(self, command: list[str], on_line: Callable[[str], None]) -> int | None:
        """Run a command in the workspace; see `JobProcess.run`."""
        variables = {**self.share.environment, **self.control.variables}
        environment = build_job_environment(self.context, self.job, variables)
        settings = ProcessSettings(
            self.workspace.folder, environment, self.folder / LOG_FILE, self.share.cores, self.workspace.lock
        )
        return self.control.process.run(command, settings, on_line)


def run_job(
    job: SweepJob,
    context: SweepContext,
    *,
    workspace: Workspace,
    share: ResourceShare,
    control: JobControl,
) -> JobResult:
    """Run a job to its end, and keep how it ended in `result.json` of its folder.

    Args:
        job: The job.
        context: Of its sweep.
        workspace: Where it runs; held by the caller, for this job alone.
        share: What it may use of the machine.
        control: Stops it, and learns of its stages.

    Returns:
        How it ended; an error of git or of the workspace is a failed job.
    """
    start = time.monotonic()
    run = _JobRun(job, context, workspace, share, control)
    try:
        result = _run_stages(run)
    except UserError as error:
        result = JobResult(job, "failed", reason=str(error))
    result = replace(result, seconds=round(time.monotonic() - start, 3))
    facts = {"status": result.status, "reason": result.reason, "metrics": dict(result.metrics)}
    write_file(run.folder / RESULT_FILE, json.dumps(facts, allow_nan=False))
    return result


def _run_stages(run: _JobRun) -> JobResult:
    prepare_workspace(run.workspace, run.job, run.context)
    output, kills = JobOutput(), count_memory_kills()
    changed: list[str] = []

    def take_line(line: str) -> None:
        output.add_line(line)
        if begun := parse_stage_line(line):
            if begun.stage == "finetune":
                with suppress(OSError):  # it saves time, and a full disk must not stop the job
                    note_shared_results(run.workspace.folder, run.job, commit=run.context.commit)
                if sentence := _find_changed_input(run):
                    changed.append(sentence)
                    run.control.process.stop(force=True)
            run.control.on_stage(StageBegan(run.job.number, begun.stage, begun.restored))

    code = run.run(build_dvc_command(run.job, pulls=run.context.pulls), take_line)
    if changed:
        raise UserError(changed[0])
    if code == 0:
        return _read_result(run, output)
    return _explain_end(run, output, code, out_of_memory=count_memory_kills() > kills)


def _explain_end(run: _JobRun, output: JobOutput, code: int | None, *, out_of_memory: bool) -> JobResult:
    """Return how a job ended that DVC recorded no experiment of."""
    job = run.job
    if output.is_pruned:
        return JobResult(job, "pruned", reason=output.last_message)
    if code is None or run.control.process.is_stopped:
        return JobResult(job, "killed", reason=STOPPED)
    reason = output.explain_failure(code, out_of_memory=out_of_memory)
    killed = output.find_signal(code) is not None and not out_of_memory
    return JobResult(job, "killed" if killed else "failed", reason=reason)


def _read_result(run: _JobRun, output: JobOutput) -> JobResult:
    """Read the results of an experiment, after it was fetched into the project."""
    commit = collect_experiment(run.workspace, run.job.experiment, run.context.project)
    if commit is None:
        raise UserError(f"DVC made no experiment of it ({run.folder / LOG_FILE})")
    delete_recorded_outputs(run.workspace.folder / DVC_LOCK_FILE)
    report = _read_report(run.workspace, commit)
    split = read_committed_file(run.workspace.folder, commit, SPLITS_FILE)
    info = json.loads((run.workspace.folder / FINETUNED_FOLDER / "run.json").read_text("utf-8"))
    main = select_main_metric(report["val"])
    if main is None:
        raise UserError(f"experiment {run.job.experiment} measured none of {', '.join(MAIN_METRICS)} on val")
    seconds = {"seconds": float(report["seconds"])} if "seconds" in report else {}
    result = JobResult(
        run.job,
        "restored" if output.stages.get("finetune", True) else "trained",
        metrics={**report["val"], **seconds},
        metric=main[0],
        task=info.get("task"),
        run_id=info.get("run_id"),
        epochs=report.get("epochs"),
        split=None if split is None else digest_split(split),
    )
    return _add_measured(run, result) if run.context.measured else result


def _find_changed_input(run: _JobRun) -> str | None:
    lock = run.workspace.folder / COMPOSE_LOCK_FILE
    return find_changed_input(parse_lock(lock.read_bytes()), run.context.inputs) if lock.exists() else None


def find_changed_input(lock: Mapping[str, Any], began: Mapping[str, str]) -> str | None:
    """Return which images, weights or code changed since the sweep began, in a sentence; None if none did.

    Args:
        lock: compose.lock.json of a job.
        began: `SweepContext.inputs`.
    """
    for key, name in lock.get("of", {}).items():
        first = began.get(name, lock[key])
        if lock[key] != first and not DOWNLOADABLE_WEIGHTS.fullmatch(first):  # downloaded meanwhile
            return (
                f"{name} changed while the sweep ran, so this training cannot be compared with the others: "
                "undo the change, or start a sweep with another sweep.name"
            )
    for stage, digest in lock.get("code", {}).items():
        if began.get(f"{CODE_NAME}{stage}", digest) != digest:
            return (
                f"the code of {stage} is not what it was when the sweep began: `git add` new files, "
                "or start a sweep with another sweep.name"
            )
    return None


def _read_report(workspace: Workspace, commit: str) -> dict[str, Any]:
    path = (workspace.folder / TRAINING_METRICS_FILE).relative_to(workspace.clone).as_posix()
    return dict(json.loads(run_git(workspace.clone, "show", f"{commit}:{path}")))


def _add_measured(run: _JobRun, result: JobResult) -> JobResult:
    """Measure the trained model on the job's own share of the machine."""
    lines: list[str] = []
    words = [sys.executable, "-m", "pipeline.sweep.workers.measure_model", *run.context.measured]
    code = run.run(words, lines.append)
    if code is None or run.control.process.is_stopped:
        return JobResult(run.job, "killed", reason=STOPPED)
    if code:
        last = next((line for line in reversed(lines) if line.strip()), "no message")
        raise UserError(f"it was trained, but its model could not be measured: {last}")
    return replace(result, metrics={**result.metrics, **json.loads(lines[-1])})
